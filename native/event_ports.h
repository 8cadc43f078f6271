#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace vsnd {

/** What has become of the ports of an open evtchn. */
enum class Ports {
  kBound,
  /** The domain has been restored; the kernel has forgotten them. */
  kForgotten,
  /** errno says why it cannot be found out. */
  kUnknown,
};

/**
 * The ports that are bound through one open /dev/xen/evtchn, so that nothing that ends them is fatal.
 *
 * A restore of the domain (xl restore, migration) takes its ports without a sign: no error, no wake-up. The
 * kernel still has them in this file's tree, and to give one back from there (UNBIND, close, the end of the
 * process) is a BUG (drivers/xen/evtchn.c) that kills the process and may leave it stuck. So each of these
 * looks for a restore first. What no process can help: a signal that kills it between a restore and that.
 */
class EventPorts {
 public:
  /** Who reads the device. */
  class User {
   public:
    virtual ~User() = default;
    /** The process ends: nothing of the device's may be used by another thread from now on. */
    virtual void EndThread() {}
  };

  /** `fd` stays the caller's, who closes it after End(). */
  EventPorts(int fd, std::string device, User* user = nullptr);
  ~EventPorts() { End(); }
  EventPorts(const EventPorts&) = delete;
  EventPorts& operator=(const EventPorts&) = delete;

  const std::string& device() const { return device_; }

  /** ioctl(2) with a request that binds: the port, or -1 with errno; EEXIST once the domain is restored. */
  int Bind(unsigned long request, void* argument);

  /** IOCTL_EVTCHN_UNBIND: 0, also where the domain has been restored; or -1 with errno. */
  int Unbind(uint32_t port);

  /** IOCTL_EVTCHN_NOTIFY: 0, also where the domain has been restored; or -1 with errno. Any thread's. */
  int Notify(uint32_t port);

  /** Looks for a restore, and then has the kernel forget the ports. What it has once found stays so. */
  Ports ForgetIfRestored();

  /** The device is about to be closed: it is not looked at any more. Idempotent. */
  void End();

  /** For every one of this process, whose threads end first. */
  static void ForgetAll();

 private:
  Ports Find();
  Ports Probe();
  bool KernelForgot();

  int fd_;
  const std::string device_;
  User* const user_;
  std::vector<uint32_t> ports_;
  std::atomic<bool> restored_{false};
};

}  // namespace vsnd
