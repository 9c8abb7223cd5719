# A shell's work: variables, functions, loops, pipes, files, applets and their status. busybox is in the directory it starts in.
b=$PWD/busybox
f() { echo "f $#: $*"; return 3; }
f a "b c"; echo "status $?"
for i in 1 2 3; do echo "i $i $((i * i))"; done
i=0; while [ $i -lt 4 ]; do i=$((i + 1)); case $i in 2) continue;; 4) break;; esac; echo "w $i"; done
echo one two three | $b wc -w
printf 'c\na\nb\n' | $b sort | $b tr a-c A-C
cd /tmp || exit 9
d=pagelab-test.$$
$b mkdir -p $d/x/y && cd $d || exit 8
echo hello > file; echo world >> file; $b cat file; $b wc -c < file
$b cp file copy; $b cmp file copy && echo same
$b mv copy x/y/moved; $b find . | $b sort
$b rm -r x; $b ls
( exit 7 ); echo "subshell $?"
v=$(echo inner; echo lines); echo "$v"
$b false || echo "false $?"
$b true && echo true
/no/such/program 2>/dev/null; echo "missing $?"
$b sh -c 'kill -9 $$'; echo "killed $?"
trap 'echo trapped' USR1; kill -USR1 $$
$b seq 1 200 | $b tail -n 2
$b head -c 100000 /dev/zero | $b wc -c
echo "here it is" | $b sed 's/here.*/there/'
$b sleep 1 & wait $!; echo "waited $?"
set -- x y z; shift; echo "$# $1"
cd ..; $b rm -r $d
exit 42
