// The four devices below /dev/xen, as JavaScript classes. Each is constructed with the device's path.
#pragma once

#include <napi.h>

#include <memory>

#include "event_poller.h"
#include "poller.h"
#include "port_methods.h"
#include "posix.h"

namespace vsnd {

/**
 * What xenbus and evtchn have in common: start(onReadable), close().
 * write(bytes): all of them in one write(2).
 */
template <typename T, typename P = Poller>
class PolledDevice : public Napi::ObjectWrap<T> {
 public:
  explicit PolledDevice(const Napi::CallbackInfo& info);
  ~PolledDevice() override { Close(); }

 protected:
  void Start(const Napi::CallbackInfo& info);
  void Write(const Napi::CallbackInfo& info);
  void CloseDevice(const Napi::CallbackInfo&) { Close(); }
  void Close() {
    if (poller_) poller_->Close();
  }

  std::shared_ptr<P> poller_;
};

/** XenStore: a stream of bytes, one request a write. */
class XenbusDevice : public PolledDevice<XenbusDevice> {
 public:
  static Napi::Function Define(Napi::Env env);
  using PolledDevice::PolledDevice;

 private:
  /** read(): what is there, at most one read(2); undefined where nothing is; empty at the end of the file. */
  Napi::Value Read(const Napi::CallbackInfo& info);
};

/**
 * Event channels: read(into) gives the ports (u32, native order) that have been notified, each masked until
 * it is written back.
 */
class EventChannelDevice : public PolledDevice<EventChannelDevice, EventPoller> {
 public:
  static Napi::Function Define(Napi::Env env);
  using PolledDevice::PolledDevice;

 private:
  /** read(into): bytes read; undefined where nothing is. */
  Napi::Value Read(const Napi::CallbackInfo& info) { return poller_->ReadInto(info); }
  Napi::Value BindUnbound(const Napi::CallbackInfo& info) { return vsnd::BindUnbound(info, ports()); }
  Napi::Value BindInterdomain(const Napi::CallbackInfo& info) { return vsnd::BindInterdomain(info, ports()); }
  void Unbind(const Napi::CallbackInfo& info) { vsnd::Unbind(info, ports()); }
  Napi::Value ForgetIfRestored(const Napi::CallbackInfo& info) {
    return vsnd::ForgetIfRestored(info, ports());
  }
  void Notify(const Napi::CallbackInfo& info) { vsnd::Notify(info, ports()); }
  /** reset(): empties the queue of ports and ends its overflow (EFBIG of read). IOCTL_EVTCHN_RESET. */
  void Reset(const Napi::CallbackInfo& info);

  EventPorts& ports() { return poller_->ports(); }
};

/** Gives pages to other domains. */
class GrantAllocDevice : public Napi::ObjectWrap<GrantAllocDevice> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit GrantAllocDevice(const Napi::CallbackInfo& info);

 private:
  /**
   * grant(domid, pageCount, writable): { grefs, memory }: zeroed pages in a row. IOCTL_GNTALLOC_ALLOC_GREF,
   * mmap, IOCTL_GNTALLOC_DEALLOC_GREF: from then on the mapping alone keeps the pages.
   */
  Napi::Value Grant(const Napi::CallbackInfo& info);
  /** close(): idempotent. What has been mapped stays. */
  void Close(const Napi::CallbackInfo&) { fd_.Close(); }

  std::string device_;
  Fd fd_;
};

/** Maps pages of other domains. */
class GrantMapDevice : public Napi::ObjectWrap<GrantMapDevice> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit GrantMapDevice(const Napi::CallbackInfo& info);

 private:
  /** map(domid, grefs, writable): memory. IOCTL_GNTDEV_MAP_GRANT_REF, mmap. */
  Napi::Value Map(const Napi::CallbackInfo& info);
  /** close(): idempotent. What has been mapped stays, and keeps the device open. */
  void Close(const Napi::CallbackInfo&) { fd_.reset(); }

  std::string device_;
  std::shared_ptr<Fd> fd_;
};

}  // namespace vsnd
