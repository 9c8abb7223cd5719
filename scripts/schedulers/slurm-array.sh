#!/bin/sh
# A campaign as a Slurm job array. --partition auto reads SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT.
#
#   job=$(sbatch --parsable scripts/schedulers/slurm-array.sh experiment.toml)
#   sbatch --dependency=afterok:$job --wrap 'pagelab merge shard-*.jsonl -o all.jsonl'
#
# Nodes need /dev/kvm. A task that was killed goes on where it stopped when it is requeued.
#SBATCH --job-name=pagelab
#SBATCH --array=1-8
#SBATCH --cpus-per-task=2
#SBATCH --requeue
set -eu
exec pagelab campaign "$1" -o "shard-$SLURM_ARRAY_TASK_ID.jsonl" \
    --partition auto --jobs "${SLURM_CPUS_PER_TASK:-1}"
