// One end of a FIFO, as a JavaScript class: what Node's own files and sockets lack is waiting only while
// there is a wish, and reading no more than is wanted.
#pragma once

#include <napi.h>

#include <memory>

#include "poller.h"

namespace vsnd {

/** new Fifo(path, writing): the end that reads, or the one that writes. */
class Fifo : public Napi::ObjectWrap<Fifo> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit Fifo(const Napi::CallbackInfo& info);
  ~Fifo() override { Close(); }

 private:
  /** start(onReady): calls it whenever read() or write() would do something. */
  void Start(const Napi::CallbackInfo& info);
  /** stop(): no more calls until the next start. Idempotent. */
  void Stop(const Napi::CallbackInfo&) {
    if (poller_) poller_->Stop();
  }
  /** read(into): bytes read; undefined where nothing is; 0 where nobody can write any more. */
  Napi::Value Read(const Napi::CallbackInfo& info) { return poller_->ReadInto(info); }
  /** write(bytes): how many went in. */
  Napi::Value Write(const Napi::CallbackInfo& info);
  /** waiting(): bytes in the pipe. FIONREAD. */
  Napi::Value Waiting(const Napi::CallbackInfo& info);
  /** setSize(bytes): what the pipe holds from now on, bytes. F_SETPIPE_SZ. */
  Napi::Value SetSize(const Napi::CallbackInfo& info);
  /** close(): idempotent. */
  void CloseEnd(const Napi::CallbackInfo&) { Close(); }
  void Close() {
    if (poller_) poller_->Close();
  }

  std::shared_ptr<Poller> poller_;
  bool writing_ = false;
};

/** makeFifo(path): for this user alone. mkfifo(3). */
Napi::Value MakeFifo(const Napi::CallbackInfo& info);

}  // namespace vsnd
