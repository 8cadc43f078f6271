#include "fifo.h"

#include <sys/stat.h>

#include "arguments.h"

namespace vsnd {

namespace {

/**
 * Never O_RDWR: whoever has both ends is a peer of its own, and is not told (end of file, EPIPE) that the
 * other process has gone. To read needs no writer; to write without a reader is ENXIO.
 */
Fd OpenEnd(Napi::Env env, const std::string& path, bool writing) {
  Fd fd(open(path.c_str(), (writing ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return ThrowErrno(env, errno, "open", path), Fd();
  if (fcntl(fd.get(), F_GETPIPE_SZ) < 0) return ThrowErrno(env, EINVAL, "use as a FIFO", path), Fd();
  return fd;
}

}  // namespace

Fifo::Fifo(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Fifo>(info) {
  Arguments arguments(info);
  std::string path = arguments.String(0);
  writing_ = arguments.Bool(1);
  if (!arguments.ok()) return;
  Fd fd = OpenEnd(info.Env(), path, writing_);
  if (fd) poller_.reset(new Poller(info.Env(), std::move(fd), path));
}

void Fifo::Start(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  Napi::Function onReady = arguments.Function(0);
  if (arguments.ok()) poller_->Start(onReady, writing_ ? UV_WRITABLE : UV_READABLE);
}

Napi::Value Fifo::Write(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  Arguments::Bytes bytes = arguments.Uint8Array(0);
  if (!arguments.ok()) return Napi::Value();
  ssize_t count = write(poller_->fd(), bytes.data, bytes.length);
  if (count < 0 && errno != EAGAIN && errno != EINTR) {
    return ThrowErrno(info.Env(), errno, "write to", poller_->device()), Napi::Value();
  }
  return Napi::Number::New(info.Env(), count < 0 ? 0 : static_cast<double>(count));
}

Napi::Value Fifo::Waiting(const Napi::CallbackInfo& info) {
  int bytes = 0;
  if (ioctl(poller_->fd(), FIONREAD, &bytes) == 0) return Napi::Number::New(info.Env(), bytes);
  return ThrowErrno(info.Env(), errno, "look into", poller_->device()), Napi::Value();
}

Napi::Value Fifo::SetSize(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  uint32_t bytes = arguments.U32(0);
  if (!arguments.ok()) return Napi::Value();
  int size = fcntl(poller_->fd(), F_SETPIPE_SZ, static_cast<int>(bytes));
  if (size >= 0) return Napi::Number::New(info.Env(), size);
  return ThrowErrno(info.Env(), errno, "set the size of", poller_->device()), Napi::Value();
}

Napi::Function Fifo::Define(Napi::Env env) {
  return DefineClass(env, "Fifo",
                     {
                         InstanceMethod<&Fifo::Start>("start"),
                         InstanceMethod<&Fifo::Stop>("stop"),
                         InstanceMethod<&Fifo::Read>("read"),
                         InstanceMethod<&Fifo::Write>("write"),
                         InstanceMethod<&Fifo::Waiting>("waiting"),
                         InstanceMethod<&Fifo::SetSize>("setSize"),
                         InstanceMethod<&Fifo::CloseEnd>("close"),
                     });
}

Napi::Value MakeFifo(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  std::string path = arguments.String(0);
  if (arguments.ok() && mkfifo(path.c_str(), 0600) != 0) ThrowErrno(info.Env(), errno, "make", path);
  return info.Env().Undefined();
}

}  // namespace vsnd
