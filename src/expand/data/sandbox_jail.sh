# Make a root of its own out of folders to read and a file system in memory, and run a command in it:
# ROOT INPUT SIZE READABLE COMMAND… Standard error goes where the command's goes: what cannot be set up is said there.
set -e
root=$1 input=$2 size=$3 readable=$4; shift 4
mount -t tmpfs -o "size=$size,mode=755" tmpfs "$root"
for path in proc dev tmp expand-work .old; do mkdir "$root/$path"; done
cp -r "$input/." "$root/expand-work"
for name in null zero full random urandom; do : > "$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"; done
echo "$readable" | while IFS= read -r path; do
  if [ -d "$path" ]; then mkdir -p "$root$path"; else mkdir -p "$root${path%/*}"; : > "$root$path"; fi
  mount --rbind "$path" "$root$path"
  mount -o remount,bind,ro "$root$path"
done
mount -t proc proc "$root/proc"
cd "$root"
pivot_root . .old
umount -l /.old
exec "$@"
