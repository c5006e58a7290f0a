// Linked into tests under ThreadSanitizer only: Debian's librdkafka uses C11 threads, which TSan
// does not know, so every lock in it would look like none. Here they go through pthread, which it
// does.
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <memory>
#include <pthread.h>
#include <threads.h>

/// Nor does it see the library's atomics, by which references to messages and clients are counted:
/// what they order looks like a race with the library's free().
extern "C" const char* __tsan_default_suppressions();
const char* __tsan_default_suppressions() {
  return "race:librdkafka.so\n";
}

namespace {

struct Start {
  thrd_start_t function;
  void* argument;
};

void* run(void* start) {
  const std::unique_ptr<Start> owned(static_cast<Start*>(start));
  return reinterpret_cast<void*>(static_cast<std::intptr_t>(owned->function(owned->argument)));
}

// glibc's C11 types are its pthread types under other names.
pthread_mutex_t* native(mtx_t* mutex) {
  return reinterpret_cast<pthread_mutex_t*>(mutex);
}

pthread_cond_t* native(cnd_t* condition) {
  return reinterpret_cast<pthread_cond_t*>(condition);
}

int outcome(int error) {
  return error == 0           ? thrd_success
         : error == EBUSY     ? thrd_busy
         : error == ETIMEDOUT ? thrd_timedout
                              : thrd_error;
}

}  // namespace

extern "C" {

int thrd_create(thrd_t* thread, thrd_start_t function, void* argument) {
  auto start = std::make_unique<Start>(Start{function, argument});
  const int error = pthread_create(reinterpret_cast<pthread_t*>(thread), nullptr, run, start.get());
  if (error == 0) static_cast<void>(start.release());
  return outcome(error);
}

int thrd_join(thrd_t thread, int* result) {
  void* value = nullptr;
  const int error = pthread_join(thread, &value);
  if (result != nullptr) *result = static_cast<int>(reinterpret_cast<std::intptr_t>(value));
  return outcome(error);
}

int thrd_detach(thrd_t thread) {
  return outcome(pthread_detach(thread));
}

int mtx_init(mtx_t* mutex, int type) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  if ((type & mtx_recursive) != 0) {
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  }
  const int error = pthread_mutex_init(native(mutex), &attributes);
  pthread_mutexattr_destroy(&attributes);
  return outcome(error);
}

int mtx_lock(mtx_t* mutex) {
  return outcome(pthread_mutex_lock(native(mutex)));
}

int mtx_trylock(mtx_t* mutex) {
  return outcome(pthread_mutex_trylock(native(mutex)));
}

int mtx_unlock(mtx_t* mutex) {
  return outcome(pthread_mutex_unlock(native(mutex)));
}

void mtx_destroy(mtx_t* mutex) {
  pthread_mutex_destroy(native(mutex));
}

int cnd_init(cnd_t* condition) {
  return outcome(pthread_cond_init(native(condition), nullptr));
}

int cnd_signal(cnd_t* condition) {
  return outcome(pthread_cond_signal(native(condition)));
}

int cnd_broadcast(cnd_t* condition) {
  return outcome(pthread_cond_broadcast(native(condition)));
}

int cnd_wait(cnd_t* condition, mtx_t* mutex) {
  return outcome(pthread_cond_wait(native(condition), native(mutex)));
}

int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const timespec* until) {
  return outcome(pthread_cond_timedwait(native(condition), native(mutex), until));
}

void cnd_destroy(cnd_t* condition) {
  pthread_cond_destroy(native(condition));
}

}  // extern "C"
