#include "peer_credentials.h"

#include <sys/socket.h>

#include "arguments.h"
#include "posix.h"

namespace vsnd {

Napi::Value PeerCredentials(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  uint32_t fd = arguments.U32(0);
  if (!arguments.ok()) return Napi::Value();
  ucred peer = {};
  socklen_t length = sizeof(peer);
  if (getsockopt(static_cast<int>(fd), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
    ThrowErrno(info.Env(), errno, "ask who is at", "the socket " + std::to_string(fd));
    return Napi::Value();
  }
  Napi::Object credentials = Napi::Object::New(info.Env());
  credentials.Set("pid", Napi::Number::New(info.Env(), peer.pid));
  credentials.Set("uid", Napi::Number::New(info.Env(), peer.uid));
  credentials.Set("gid", Napi::Number::New(info.Env(), peer.gid));
  return credentials;
}

}  // namespace vsnd
