/* Preloaded into one program, shows it another wall clock: the seconds in the file CLOCK_SHIFT are added, read at each
   look. The monotonic clock and every sleep stay as they are, as on a machine whose clock is set. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long shift(void) {
  char text[32] = {0};
  const char *path = getenv("CLOCK_SHIFT");
  int file = path ? open(path, O_RDONLY) : -1;
  if (file < 0) return 0;
  ssize_t read_bytes = read(file, text, sizeof text - 1);
  close(file);
  return read_bytes > 0 ? strtol(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *found) {
  int code = (int)syscall(SYS_clock_gettime, clock, found);
  if (code == 0 && clock == CLOCK_REALTIME) found->tv_sec += shift();
  return code;
}
