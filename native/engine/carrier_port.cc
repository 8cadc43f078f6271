#include "carrier_port.h"

namespace vsnd {

template <typename Work>
uint64_t CarrierPort::WithCarrier(Work work) {
  int tid = OwnTid();
  Hold hold(lock_, tid);
  return carrier_ == nullptr ? 0 : work(*carrier_, tid);
}

size_t CarrierPort::Write(const uint8_t* bytes, size_t length) {
  return WithCarrier([&](Carrier& carrier, int tid) {
    size_t count = carrier.staging().Write(bytes, length);
    loop_.HandlePorted(carrier, count, tid);
    return count;
  });
}

size_t CarrierPort::Read(uint8_t* into, size_t length) {
  return WithCarrier([&](Carrier& carrier, int tid) {
    size_t count = carrier.staging().Read(into, length);
    loop_.HandlePorted(carrier, count, tid);
    return count;
  });
}

size_t CarrierPort::Readable() {
  return WithCarrier([](Carrier& carrier, int) { return carrier.staging().filled(); });
}

uint64_t CarrierPort::Listen(OnMoved on_moved, void* listener) {
  return WithCarrier([&](Carrier& carrier, int tid) {
    uint64_t position = 0;
    loop_.With(carrier, tid, [&] { position = carrier.Listen(on_moved, listener); });
    loop_.EndRest();
    return position;
  });
}

void CarrierPort::Close() {
  Hold hold(lock_);
  carrier_ = nullptr;
}

}  // namespace vsnd
