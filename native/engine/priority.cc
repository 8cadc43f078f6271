#include "priority.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vsnd {

int AskForRealTime() {
  sched_param lowest = {};
  lowest.sched_priority = 1;
  // A child of this thread would be no real-time one; there is none, but RESET_ON_FORK is what rtkit asks
  // for, too. The call itself: musl's function of that name does nothing.
  if (syscall(SYS_sched_setscheduler, 0, SCHED_FIFO | SCHED_RESET_ON_FORK, &lowest) == 0) return SCHED_FIFO;
  return SCHED_OTHER;
}

}  // namespace vsnd
