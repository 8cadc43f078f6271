#include "event_ports.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <mutex>

#include "posix.h"
#include "xen_ioctl.h"

namespace vsnd {

namespace {

/** DOMID_SELF: nobody learns of such a port, and nobody else could bind it. */
constexpr uint32_t kOwnDomain = 0x7FF0;

/** For the list below and what is in it: workers come and go, and any thread may call exit(3). */
std::mutex mutex;

/** All of this process. Never destroyed: it is needed to the very end. */
auto& all = *new std::vector<EventPorts*>;

/** process.exit() and an uncaught exception run no hook of the main thread's environment. */
[[maybe_unused]] const int at_exit = std::atexit(EventPorts::ForgetAll);

int BindProbe(int fd) {
  ioctl_evtchn_bind_unbound_port request = {kOwnDomain};
  return ioctl(fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &request);
}

int UnbindPort(int fd, uint32_t port) {
  ioctl_evtchn_unbind request = {port};
  return ioctl(fd, IOCTL_EVTCHN_UNBIND, &request);
}

template <typename T>
void Remove(std::vector<T>& values, const T& value) {
  values.erase(std::remove(values.begin(), values.end(), value), values.end());
}

}  // namespace

void EventPorts::ForgetAll() {
  std::lock_guard<std::mutex> guard(mutex);
  for (EventPorts* ports : all) {
    if (ports->user_ != nullptr) ports->user_->EndThread();
    ports->Find();
  }
}

EventPorts::EventPorts(int fd, std::string device, User* user)
    : fd_(fd), device_(std::move(device)), user_(user) {
  std::lock_guard<std::mutex> guard(mutex);
  all.push_back(this);
}

void EventPorts::End() {
  std::lock_guard<std::mutex> guard(mutex);
  fd_ = -1;
  Remove(all, this);
}

int EventPorts::Bind(unsigned long request, void* argument) {
  std::lock_guard<std::mutex> guard(mutex);
  // A live port beside dead ones would leave the kernel's tree with them, and raise events into freed memory.
  Ports ports = Find();
  if (ports == Ports::kForgotten) errno = EEXIST;
  if (ports != Ports::kBound) return -1;
  int port = ioctl(fd_, request, argument);
  if (port >= 0) ports_.push_back(static_cast<uint32_t>(port));
  // At this very moment: the tree is empty now, see Probe().
  if (port < 0 && errno == EEXIST) restored_ = true;
  return port;
}

int EventPorts::Unbind(uint32_t port) {
  std::lock_guard<std::mutex> guard(mutex);
  Ports ports = Find();
  if (ports != Ports::kBound) return ports == Ports::kForgotten ? 0 : -1;
  int result = UnbindPort(fd_, port);
  if (result == 0) Remove(ports_, port);
  return result;
}

int EventPorts::Notify(uint32_t port) {
  ioctl_evtchn_notify request = {port};
  int result = ioctl(fd_, IOCTL_EVTCHN_NOTIFY, &request);
  return result < 0 && errno == ENOTCONN && restored_ ? 0 : result;
}

Ports EventPorts::ForgetIfRestored() {
  std::lock_guard<std::mutex> guard(mutex);
  return Find();
}

Ports EventPorts::Find() {
  if (restored_) return Ports::kForgotten;
  if (ports_.empty() || fd_ < 0) return Ports::kBound;
  // One process at a time: the probes of another one would hide our numbers.
  flock(fd_, LOCK_EX);
  Ports found = Probe();
  int error = errno;
  flock(fd_, LOCK_UN);
  errno = error;
  restored_ = found == Ports::kForgotten;
  return found;
}

/**
 * Xen gives out the lowest free port. A number that the kernel's tree has already, as dead, gives EEXIST; and
 * the kernel's undoing of that failed insertion (rb_erase of a node that is in no tree) empties the tree. A
 * number above all of ours shows that they are taken: by us, unless others have bound all of them since a
 * restore.
 */
Ports EventPorts::Probe() {
  uint32_t highest = *std::max_element(ports_.begin(), ports_.end());
  Fd gaps;
  for (;;) {
    int port = BindProbe(fd_);
    if (port < 0) return errno == EEXIST && KernelForgot() ? Ports::kForgotten : Ports::kUnknown;
    if (UnbindPort(fd_, static_cast<uint32_t>(port)) < 0) return Ports::kUnknown;
    if (static_cast<uint32_t>(port) > highest) return Ports::kBound;
    // A free number below ours: from another file, whose tree may go, so that the next one is higher.
    if (!gaps) gaps = Fd(open(device_.c_str(), O_RDWR | O_CLOEXEC));
    if (!gaps || BindProbe(gaps.get()) < 0) return Ports::kUnknown;
  }
}

/** In a kernel whose undoing is another one NOTIFY still finds the dead port, and does nothing with it. */
bool EventPorts::KernelForgot() {
  ioctl_evtchn_notify request = {ports_.front()};
  if (ioctl(fd_, IOCTL_EVTCHN_NOTIFY, &request) < 0 && errno == ENOTCONN) return true;
  errno = EEXIST;
  return false;
}

}  // namespace vsnd
