# Set limits on CPU time and files, say that all is set up, and run a command: SECONDS BLOCKS COMMAND…
ulimit -c 0; ulimit -t "$1"; ulimit -f "$2"; shift 2
echo READY
exec "$@"
