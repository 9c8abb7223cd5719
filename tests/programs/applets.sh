# A hundred lines of shell: here documents, pipes, loops, functions, traps, jobs, and the applets that
# people reach for. busybox is in the directory that it starts in.
b=$PWD/busybox
dir=/tmp/pagelab-applets.$$
$b rm -rf $dir
$b mkdir -p $dir && cd $dir || exit 9
say() {
	local what=$1
	shift
	echo "$what: $*"
}
factorial() {
	if [ $1 -le 1 ]; then
		echo 1
	else
		echo $(($1 * $(factorial $(($1 - 1)))))
	fi
}
say factorial $(factorial 6)
$b cat > words <<END
pear 3
apple 7
fig $((4 + 5))
apple 2
END
$b cat <<'END'
a quoted document keeps $dir and $(this)
END
while read -r name count; do
	say read "$name" "$count"
done < words
printf 'one\ntwo\nthree\n' | while read -r line; do
	say piped "$line"
done
echo "left right rest of it" | (read a b2 c; say split "$b2" "$a" "$c")
$b sort words | $b uniq -c | $b sed 's/^ *//'
$b sort -k2,2nr words | $b head -n 2
$b awk '{ n[$1] += $2; total += $2 } END { print n["apple"], n["fig"], total }' words
$b awk -F: 'BEGIN { OFS = "-" } { print $2, $1; printf "%05.1f\n", $3 / 7 }' <<END
a:b:22
END
$b sed -n -e '/^apple/{s/apple/APPLE/;p}' -e '$=' words
$b sed 's/\([a-z]*\) \([0-9]*\)/\2 \1/' words
$b grep -c apple words
$b grep -v apple words | $b cut -d' ' -f1 | $b tr a-z A-Z
$b grep -n '^f' words || say grep none
$b mkdir -p tree/a/b tree/c
for i in 1 2 3 4 5; do
	$b seq 1 $((i * 10)) > tree/a/file$i
done
$b cp tree/a/file3 tree/a/b/copy
$b ln -s ../a/file1 tree/c/link
$b find tree -type f -name 'file*' | $b sort
$b find tree -type l -exec $b readlink {} \;
$b find tree -type d | $b wc -l
$b tar cf tree.tar tree && say tar $?
$b mkdir out && $b tar xf tree.tar -C out && $b find out | $b sort | $b tail -n 3
$b cmp tree/a/file5 out/tree/a/file5 && say cmp same
$b seq 1 3000 > numbers
$b md5sum numbers | $b cut -d' ' -f1
$b sha256sum < words | $b cut -c1-16
$b gzip -c numbers > numbers.gz && $b gunzip -c numbers.gz | $b cmp - numbers && say gzip same
[ $($b wc -c < numbers.gz) -lt $($b wc -c < numbers) ] && say gzip smaller
$b dd if=numbers of=part bs=100 skip=2 count=3 2>/dev/null
$b wc -c < part
$b dd if=/dev/zero bs=1k count=64 2>/dev/null | $b md5sum | $b cut -d' ' -f1
$b head -c 20 numbers | $b od -c | $b head -n 2
$b printf '%s\n' b a c | $b sort -r | $b xargs echo
$b seq 1 20 | $b paste -s -d, -
$b expr 6 \* 7
$b basename /a/b/name.c .c
$b dirname /a/b/name.c
trap 'say trap USR1' USR1
kill -USR1 $$
trap 'say trap EXIT $?' EXIT
for i in 1 2 3; do
	( $b sleep 0.$i; exit $i ) &
	pids="$pids $!"
done
for pid in $pids; do
	wait $pid
	say waited $?
done
$b sleep 100 &
kill $!
wait $!
say killed $?
( trap 'exit 5' TERM; while :; do $b sleep 0.01; done ) &
$b sleep 0.2
kill $!
wait $!
say trapped $?
case "$dir" in
	/tmp/*) say case tmp ;;
	*) say case other ;;
esac
set -- $($b cat words)
say words $# $1 ${8}
x=unset; unset x; name=${dir##*/pagelab-}; say default ${x:-nothing} ${name%.*} ${#1}
until [ ${n:-0} -ge 3 ]; do n=$((${n:-0} + 1)); done; say until $n
$b rm nothing 2> errors; say rm $? $($b wc -l < errors)
{ echo out; echo err >&2; } 2>&1 | $b sort
eval 'say eval "$n"'
$b test -d tree -a ! -e nothing && say test ok
if $b grep -q pear words && ! $b grep -q plum words; then say if yes; fi
say nested "$(echo "$(echo inner) outer")"
$b yes | $b head -n 3 | $b tr '\n' ' '; echo
cd /tmp && $b rm -r $dir
exit 7
