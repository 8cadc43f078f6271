#include <array>

#include "arguments.h"
#include "devices.h"
#include "xen_ioctl.h"

namespace vsnd {

namespace {

/** Octets of one read: a page is the most that evtchn gives, and one message of XenStore's is little more. */
constexpr size_t kReadSize = 4 * kPageSize;

}  // namespace

template <typename T>
PolledDevice<T>::PolledDevice(const Napi::CallbackInfo& info) : Napi::ObjectWrap<T>(info) {
  Arguments arguments(info);
  std::string device = arguments.String(0);
  if (!arguments.ok()) return;
  Fd fd = Fd::OpenDevice(info.Env(), device);
  if (fd) poller_.reset(new Poller(info.Env(), std::move(fd), device));
}

template <typename T>
void PolledDevice<T>::Start(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  Napi::Function onReadable = arguments.Function(0);
  if (arguments.ok()) poller_->Start(onReadable);
}

template <typename T>
Napi::Value PolledDevice<T>::Read(const Napi::CallbackInfo& info) {
  std::array<uint8_t, kReadSize> octets;
  ssize_t count = read(poller_->fd(), octets.data(), octets.size());
  if (count >= 0) return Napi::Buffer<uint8_t>::Copy(info.Env(), octets.data(), static_cast<size_t>(count));
  if (errno != EAGAIN && errno != EINTR) ThrowErrno(info.Env(), errno, "read", poller_->device());
  return info.Env().Undefined();
}

template <typename T>
void PolledDevice<T>::Write(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  Arguments::Bytes octets = arguments.Uint8Array(0);
  if (!arguments.ok()) return;
  ssize_t count = write(poller_->fd(), octets.data, octets.length);
  if (count == static_cast<ssize_t>(octets.length)) return;
  // Neither device takes a part of what it is given; one that did would have lost its place.
  ThrowErrno(info.Env(), count < 0 ? errno : EIO, "write to", poller_->device());
}

template <typename T>
int PolledDevice<T>::Control(Napi::Env env, unsigned long request, void* argument, const char* operation) {
  int result = ioctl(poller_->fd(), request, argument);
  if (result < 0) ThrowErrno(env, errno, operation, poller_->device());
  return result;
}

Napi::Function XenbusDevice::Define(Napi::Env env) {
  return DefineClass(env, "XenbusDevice",
                     {
                         InstanceMethod("start", &XenbusDevice::Start),
                         InstanceMethod("read", &XenbusDevice::Read),
                         InstanceMethod("write", &XenbusDevice::Write),
                         InstanceMethod("close", &XenbusDevice::CloseDevice),
                     });
}

Napi::Function EventChannelDevice::Define(Napi::Env env) {
  return DefineClass(env, "EventChannelDevice",
                     {
                         InstanceMethod("start", &EventChannelDevice::Start),
                         InstanceMethod("read", &EventChannelDevice::Read),
                         InstanceMethod("write", &EventChannelDevice::Write),
                         InstanceMethod("close", &EventChannelDevice::CloseDevice),
                         InstanceMethod("bindUnbound", &EventChannelDevice::BindUnbound),
                         InstanceMethod("bindInterdomain", &EventChannelDevice::BindInterdomain),
                         InstanceMethod("unbind", &EventChannelDevice::Unbind),
                         InstanceMethod("notify", &EventChannelDevice::Notify),
                         InstanceMethod("reset", &EventChannelDevice::Reset),
                     });
}

Napi::Value EventChannelDevice::BindUnbound(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  ioctl_evtchn_bind_unbound_port request = {};
  request.remote_domain = arguments.U16(0);
  if (!arguments.ok()) return Napi::Value();
  int port = Control(info.Env(), IOCTL_EVTCHN_BIND_UNBOUND_PORT, &request, "bind a new port of");
  return Napi::Number::New(info.Env(), port);
}

Napi::Value EventChannelDevice::BindInterdomain(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  ioctl_evtchn_bind_interdomain request = {};
  request.remote_domain = arguments.U16(0);
  request.remote_port = arguments.U32(1);
  if (!arguments.ok()) return Napi::Value();
  int port = Control(info.Env(), IOCTL_EVTCHN_BIND_INTERDOMAIN, &request, "bind a peer's port with");
  return Napi::Number::New(info.Env(), port);
}

void EventChannelDevice::Unbind(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  ioctl_evtchn_unbind request = {};
  request.port = arguments.U32(0);
  if (arguments.ok()) Control(info.Env(), IOCTL_EVTCHN_UNBIND, &request, "unbind a port of");
}

void EventChannelDevice::Notify(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  ioctl_evtchn_notify request = {};
  request.port = arguments.U32(0);
  if (arguments.ok()) Control(info.Env(), IOCTL_EVTCHN_NOTIFY, &request, "notify a port of");
}

void EventChannelDevice::Reset(const Napi::CallbackInfo& info) {
  Control(info.Env(), IOCTL_EVTCHN_RESET, nullptr, "reset");
}

}  // namespace vsnd
