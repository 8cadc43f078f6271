#include <array>

#include "arguments.h"
#include "devices.h"
#include "port_methods.h"
#include "xen_ioctl.h"

namespace vsnd {

namespace {

/** Bytes of one read: a message of XenStore's is little more than a page. */
constexpr size_t kReadSize = 4 * kPageSize;

}  // namespace

template <typename T, typename P>
PolledDevice<T, P>::PolledDevice(const Napi::CallbackInfo& info) : Napi::ObjectWrap<T>(info) {
  Arguments arguments(info);
  std::string device = arguments.String(0);
  if (!arguments.ok()) return;
  Fd fd = Fd::OpenDevice(info.Env(), device);
  if (fd) poller_.reset(new P(info.Env(), std::move(fd), device));
}

template <typename T, typename P>
void PolledDevice<T, P>::Start(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  Napi::Function onReadable = arguments.Function(0);
  if (arguments.ok()) poller_->Start(onReadable);
}

template <typename T, typename P>
void PolledDevice<T, P>::Write(const Napi::CallbackInfo& info) {
  WriteAll(info, poller_->fd(), poller_->device());
}

Napi::Value XenbusDevice::Read(const Napi::CallbackInfo& info) {
  std::array<uint8_t, kReadSize> bytes;
  ssize_t count = read(poller_->fd(), bytes.data(), bytes.size());
  if (count >= 0) return Napi::Buffer<uint8_t>::Copy(info.Env(), bytes.data(), static_cast<size_t>(count));
  if (errno != EAGAIN && errno != EINTR) ThrowErrno(info.Env(), errno, "read", poller_->device());
  return info.Env().Undefined();
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
                         InstanceMethod("forgetIfRestored", &EventChannelDevice::ForgetIfRestored),
                         InstanceMethod("notify", &EventChannelDevice::Notify),
                         InstanceMethod("reset", &EventChannelDevice::Reset),
                     });
}

void EventChannelDevice::Reset(const Napi::CallbackInfo& info) {
  if (ioctl(poller_->fd(), IOCTL_EVTCHN_RESET, nullptr) == 0) return;
  ThrowErrno(info.Env(), errno, "reset", poller_->device());
}

}  // namespace vsnd
