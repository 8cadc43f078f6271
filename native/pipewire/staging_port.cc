#include "staging_port.h"

namespace vsnd {

size_t StagingPort::Write(const uint8_t* bytes, size_t length) {
  size_t count = ring_.Write(bytes, length);
  session_.Wake();
  return count;
}

uint64_t StagingPort::Listen(OnMoved on_moved, void* listener) {
  Hold hold(lock_);
  on_moved_ = on_moved;
  listener_ = listener;
  return position_;
}

void StagingPort::Move(uint64_t bytes) {
  Hold hold(lock_);
  position_ = bytes;
  if (on_moved_ != nullptr) on_moved_(listener_, bytes);
}

}  // namespace vsnd
