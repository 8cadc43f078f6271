#include "staging_port.h"

namespace vsnd {

namespace {

StagingPort* Of(Port* port) {
  return static_cast<StagingPort*>(port);
}

int OwnTid() {
  return static_cast<int>(syscall(SYS_gettid));
}

}  // namespace

StagingPort::StagingPort(Session& session, size_t capacity) : session_(session), ring_(capacity) {
  write = [](Port* port, const uint8_t* bytes, size_t length) {
    size_t count = Of(port)->ring_.Write(bytes, length);
    Of(port)->session_.Wake();
    return count;
  };
  read = [](Port* port, uint8_t* into, size_t length) { return Of(port)->ring_.Read(into, length); };
  readable = [](Port* port) { return Of(port)->ring_.filled(); };
  listen = [](Port* port, void (*on_moved)(void*, uint64_t), void* listener) {
    return Of(port)->Listen(on_moved, listener);
  };
  hold = [](Port* port) { Of(port)->holders_++; };
  release = [](Port* port) { Of(port)->Release(); };
}

void StagingPort::Release() {
  if (--holders_ == 0) delete this;
}

uint64_t StagingPort::Listen(void (*on_moved)(void*, uint64_t), void* listener) {
  Hold hold(lock_, OwnTid());
  on_moved_ = on_moved;
  listener_ = listener;
  return position_;
}

void StagingPort::Move(uint64_t bytes) {
  Hold hold(lock_, OwnTid());
  position_ = bytes;
  if (on_moved_ != nullptr) on_moved_(listener_, bytes);
}

}  // namespace vsnd
