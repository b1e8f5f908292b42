// The first process of a Pod's sandbox, and of a node of the test cluster: it holds their namespaces open and does nothing.
//
// Children whose parents died are inherited by the first process of a PID namespace. With SIGCHLD ignored the kernel reaps them by itself
// (POSIX.1-2001, wait(2)), so there is nothing to do here, ever.

#include <signal.h>
#include <unistd.h>

static void leave(int signal) {
  (void)signal;
  _exit(0);
}

int main(void) {
  signal(SIGCHLD, SIG_IGN);
  // Without handlers the kernel does not deliver these to the first process of a PID namespace.
  signal(SIGTERM, leave);
  signal(SIGINT, leave);
  for (;;) {
    pause();
  }
}
