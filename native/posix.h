// Owners of what the kernel gives out, and errors that say which device and operation they are of.
#pragma once

#include <fcntl.h>
#include <napi.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>

namespace vsnd {

/** XEN_PAGE_SIZE, in bytes. */
constexpr size_t kPageSize = 4096;

/** Throws "cannot OPERATION DEVICE: EXXX", with `code` (the errno's name), `operation` and `device`. */
inline void ThrowErrno(Napi::Env env, int error, const char* operation, const std::string& device) {
  char name[64];
  uv_err_name_r(-error, name, sizeof name);
  std::string message = std::string("cannot ") + operation + " " + device + ": " + name;
  Napi::Error thrown = Napi::Error::New(env, message);
  thrown.Set("code", Napi::String::New(env, name));
  thrown.Set("operation", Napi::String::New(env, operation));
  thrown.Set("device", Napi::String::New(env, device));
  thrown.ThrowAsJavaScriptException();
}

/** An open file descriptor. */
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { Close(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

  /** Leaves it open until the process ends. */
  void Leave() { fd_ = -1; }

  /** Opens a device of Xen's for reading and writing; throws where that fails. Children do not inherit it. */
  static Fd OpenDevice(Napi::Env env, const std::string& path) {
    int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) ThrowErrno(env, errno, "open", path);
    return Fd(fd);
  }

 private:
  int fd_ = -1;
};

/** Pages mapped into this process. */
class Memory {
 public:
  Memory() = default;
  Memory(void* base, size_t size, bool writable)
      : base_(static_cast<uint8_t*>(base)), size_(size), writable_(writable) {}
  Memory(Memory&& other) noexcept { Swap(other); }
  Memory& operator=(Memory&& other) noexcept {
    Swap(other);
    return *this;
  }
  ~Memory() { Unmap(); }

  uint8_t* base() const { return base_; }
  size_t size() const { return size_; }
  bool writable() const { return writable_; }
  explicit operator bool() const { return base_ != nullptr; }

  void Unmap() {
    if (base_ != nullptr) munmap(base_, size_);
    base_ = nullptr;
    size_ = 0;
  }

  /** mmap(2) of a device, shared with the peer; empty, with errno set, where that fails. */
  static Memory Map(int fd, uint64_t offset, size_t size, bool writable) {
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void* base = mmap(nullptr, size, protection, MAP_SHARED, fd, static_cast<off_t>(offset));
    return base == MAP_FAILED ? Memory() : Memory(base, size, writable);
  }

 private:
  void Swap(Memory& other) {
    std::swap(base_, other.base_);
    std::swap(size_, other.size_);
    std::swap(writable_, other.writable_);
  }

  uint8_t* base_ = nullptr;
  size_t size_ = 0;
  bool writable_ = false;
};

}  // namespace vsnd
