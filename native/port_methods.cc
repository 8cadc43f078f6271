#include "port_methods.h"

#include "arguments.h"
#include "posix.h"
#include "xen_ioctl.h"

namespace vsnd {

Napi::Value BindUnbound(const Napi::CallbackInfo& info, EventPorts& ports) {
  Arguments arguments(info);
  ioctl_evtchn_bind_unbound_port request = {};
  request.remote_domain = arguments.U16(0);
  if (!arguments.ok()) return Napi::Value();
  int port = ports.Bind(IOCTL_EVTCHN_BIND_UNBOUND_PORT, &request);
  if (port < 0) return ThrowErrno(info.Env(), errno, "bind a new port of", ports.device()), Napi::Value();
  return Napi::Number::New(info.Env(), port);
}

Napi::Value BindInterdomain(const Napi::CallbackInfo& info, EventPorts& ports) {
  Arguments arguments(info);
  ioctl_evtchn_bind_interdomain request = {};
  request.remote_domain = arguments.U16(0);
  request.remote_port = arguments.U32(1);
  if (!arguments.ok()) return Napi::Value();
  int port = ports.Bind(IOCTL_EVTCHN_BIND_INTERDOMAIN, &request);
  if (port < 0)
    return ThrowErrno(info.Env(), errno, "bind a peer's port with", ports.device()), Napi::Value();
  return Napi::Number::New(info.Env(), port);
}

void Unbind(const Napi::CallbackInfo& info, EventPorts& ports) {
  Arguments arguments(info);
  uint32_t port = arguments.U32(0);
  if (!arguments.ok() || ports.Unbind(port) == 0) return;
  ThrowErrno(info.Env(), errno, "unbind a port of", ports.device());
}

Napi::Value ForgetIfRestored(const Napi::CallbackInfo& info, EventPorts& ports) {
  Ports found = ports.ForgetIfRestored();
  if (found != Ports::kUnknown) return Napi::Boolean::New(info.Env(), found == Ports::kForgotten);
  return ThrowErrno(info.Env(), errno, "look for a restore with", ports.device()), Napi::Value();
}

void Notify(const Napi::CallbackInfo& info, EventPorts& ports) {
  Arguments arguments(info);
  uint32_t port = arguments.U32(0);
  if (!arguments.ok() || ports.Notify(port) == 0) return;
  ThrowErrno(info.Env(), errno, "notify a port of", ports.device());
}

void WriteAll(const Napi::CallbackInfo& info, int fd, const std::string& device) {
  Arguments arguments(info);
  Arguments::Bytes bytes = arguments.Uint8Array(0);
  if (!arguments.ok()) return;
  ssize_t count = write(fd, bytes.data, bytes.length);
  if (count == static_cast<ssize_t>(bytes.length)) return;
  // Neither device takes a part of what it is given; one that did would have lost its place.
  ThrowErrno(info.Env(), count < 0 ? errno : EIO, "write to", device);
}

}  // namespace vsnd
