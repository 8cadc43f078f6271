// All that the addon needs of libstdc++'s library; it is linked without that. libstdc++'s own unwinder would
// ask for symbols of a newer glibc than the oldest that Node runs on. The addon neither throws nor catches:
// where the library would throw, the process ends.
#include <cstdlib>
#include <new>
#include <string>

void* operator new(std::size_t size) {
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) std::abort();
  return memory;
}

void* operator new[](std::size_t size) {
  return operator new(size);
}

void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace std {

void __throw_length_error(const char*) {
  std::abort();
}
void __throw_logic_error(const char*) {
  std::abort();
}
void __throw_out_of_range_fmt(const char*, ...) {
  std::abort();
}
void __throw_system_error(int) {
  std::abort();
}
void __throw_bad_alloc() {
  std::abort();
}
void __throw_bad_array_new_length() {
  std::abort();
}

template class basic_string<char>;

}  // namespace std

extern "C" {

void __cxa_pure_virtual() {
  std::abort();
}

/** glibc's, from 2.32 on: false has shared_ptr count atomically. */
char __libc_single_threaded = 0;
}
