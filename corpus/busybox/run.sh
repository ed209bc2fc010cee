# The shell executes its applets through /proc/self/exe, so that everything that the script runs is
# busybox. What it prints is compared with what Debian's busybox prints on the host, too, if it is
# installed.
cp "$here/pipelines.sh" "$root"
mkdir "$root/tmp"
guest busybox sh pipelines.sh
