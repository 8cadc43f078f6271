// Who is at the other end of a socket: what Node does not tell.
#pragma once

#include <napi.h>

namespace vsnd {

/** peerCredentials(fd): the pid, uid and gid of who had connected a UNIX socket, as they were then.
 * SO_PEERCRED. */
Napi::Value PeerCredentials(const Napi::CallbackInfo& info);

}  // namespace vsnd
