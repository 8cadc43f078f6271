#pragma once

namespace vsnd {

/**
 * Asks the kernel to run this thread before all others of the machine that are not real-time (SCHED_FIFO, the
 * lowest priority of it). Returns the policy that it has got: SCHED_OTHER where RLIMIT_RTPRIO allows none.
 */
int AskForRealTime();

}  // namespace vsnd
