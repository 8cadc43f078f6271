#include "poller.h"

#include "arguments.h"
#include "callback.h"

namespace vsnd {

bool Poller::Open() {
  if (self_) return true;
  uv_loop_t* loop = nullptr;
  int error = napi_get_uv_event_loop(env_, &loop) == napi_ok ? uv_poll_init(loop, &poll_, fd()) : UV_EINVAL;
  if (error != 0) {
    ThrowErrno(env_, -error, "poll", device_);
    return false;
  }
  poll_.data = this;
  self_ = shared_from_this();
  uv_unref(reinterpret_cast<uv_handle_t*>(&poll_));
  context_.emplace(env_, "vsnd.Device");
  // The loop of an environment that ends is closed only after this handle is.
  napi_add_async_cleanup_hook(env_, OnEnvironmentEnd, this, &hook_);
  return true;
}

void Poller::Start(Napi::Function onReady, int events) {
  if (!fd_) return ThrowErrno(env_, EBADF, "poll", device_);
  if (!Open()) return;
  on_ready_ = Napi::Persistent(onReady);
  int error = uv_poll_start(&poll_, events, OnPoll);
  if (error != 0) ThrowErrno(env_, -error, "poll", device_);
}

void Poller::Stop() {
  if (fd_ && self_) uv_poll_stop(&poll_);
}

Napi::Value Poller::ReadInto(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  Arguments::Bytes into = arguments.Uint8Array(0);
  if (!arguments.ok()) return Napi::Value();
  ssize_t count = read(fd(), into.data, into.length);
  if (count >= 0) return Napi::Number::New(env_, static_cast<double>(count));
  if (errno != EAGAIN && errno != EINTR) ThrowErrno(env_, errno, "read", device_);
  return env_.Undefined();
}

void Poller::Close() {
  if (!fd_) return;
  if (self_) {
    on_ready_.Reset();
    context_.reset();
    uv_close(reinterpret_cast<uv_handle_t*>(&poll_), OnClosed);
  }
  if (StaysOpen())
    fd_.Leave();
  else
    fd_.Close();
}

void Poller::OnPoll(uv_poll_t* handle, int, int) {
  auto* poller = static_cast<Poller*>(handle->data);
  CallBack(poller->env_, *poller->context_, poller->on_ready_);
}

void Poller::OnEnvironmentEnd(napi_async_cleanup_hook_handle, void* poller) {
  static_cast<Poller*>(poller)->Close();
}

void Poller::OnClosed(uv_handle_t* handle) {
  auto* poller = static_cast<Poller*>(handle->data);
  std::shared_ptr<Poller> last = std::move(poller->self_);
  napi_remove_async_cleanup_hook(poller->hook_);
}

}  // namespace vsnd
