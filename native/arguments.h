// What JavaScript passes in, checked: the last line of defence, whatever the TypeScript above has checked
// already.
#pragma once

#include <napi.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace vsnd {

/** One method's arguments. After the first one that is not as it should be, a TypeError is pending and ok()
 * false. */
class Arguments {
 public:
  explicit Arguments(const Napi::CallbackInfo& info) : info_(info) {}

  bool ok() const { return ok_; }

  uint32_t U32(size_t index) { return ToU32(info_[index], index); }

  uint16_t U16(size_t index) {
    uint32_t value = U32(index);
    if (value > UINT16_MAX) Refuse(index, "an integer below 2^16");
    return static_cast<uint16_t>(value);
  }

  bool Bool(size_t index) {
    if (!info_[index].IsBoolean()) return Refuse(index, "a boolean");
    return info_[index].As<Napi::Boolean>().Value();
  }

  double Number(size_t index) {
    double number = 0;
    if (napi_get_value_double(info_.Env(), info_[index], &number) != napi_ok) Refuse(index, "a number");
    return number;
  }

  /** An object of one of the addon's classes; null where it is none. */
  template <typename T>
  T* Instance(size_t index, const Napi::Function& constructor) {
    T* instance = nullptr;
    bool is_one = info_[index].IsObject() && info_[index].As<Napi::Object>().InstanceOf(constructor);
    if (is_one) instance = Napi::ObjectWrap<T>::Unwrap(info_[index].As<Napi::Object>());
    if (instance == nullptr) Refuse(index, "an object of the addon's");
    return instance;
  }

  std::string String(size_t index) {
    if (!info_[index].IsString()) return Refuse(index, "a string"), std::string();
    return info_[index].As<Napi::String>().Utf8Value();
  }

  Napi::Function Function(size_t index) {
    if (!info_[index].IsFunction()) return Refuse(index, "a function"), Napi::Function();
    return info_[index].As<Napi::Function>();
  }

  /** Valid while no JavaScript runs. */
  struct Bytes {
    uint8_t* data = nullptr;
    size_t length = 0;
  };

  Bytes Uint8Array(size_t index) {
    Bytes bytes;
    napi_typedarray_type type = napi_uint8_array;
    void* data = nullptr;
    if (!info_[index].IsTypedArray() ||
        napi_get_typedarray_info(info_.Env(), info_[index], &type, &bytes.length, &data, nullptr, nullptr) !=
            napi_ok ||
        type != napi_uint8_array) {
      return Refuse(index, "a Uint8Array"), Bytes();
    }
    bytes.data = static_cast<uint8_t*>(data);
    return bytes;
  }

  /** Valid while no JavaScript runs; of exactly `length` numbers. */
  double* Float64Array(size_t index, size_t length) {
    napi_typedarray_type type = napi_float64_array;
    size_t found = 0;
    void* data = nullptr;
    if (!info_[index].IsTypedArray() ||
        napi_get_typedarray_info(info_.Env(), info_[index], &type, &found, &data, nullptr, nullptr) !=
            napi_ok ||
        type != napi_float64_array || found != length) {
      return Refuse(index, "a Float64Array of a fitting length"), nullptr;
    }
    return static_cast<double*>(data);
  }

  uint64_t U64(size_t index) {
    uint64_t value = 0;
    bool is_lossless = false;
    if (napi_get_value_bigint_uint64(info_.Env(), info_[index], &value, &is_lossless) != napi_ok ||
        !is_lossless) {
      Refuse(index, "a bigint from 0 to 2^64 - 1");
    }
    return value;
  }

  std::vector<uint32_t> U32Array(size_t index, uint32_t longest) {
    std::vector<uint32_t> values;
    if (!info_[index].IsArray()) return Refuse(index, "an array of integers"), values;
    auto array = info_[index].As<Napi::Array>();
    uint32_t length = array.Length();
    if (length == 0 || length > longest) return Refuse(index, "an array of a fitting length"), values;
    values.reserve(length);
    for (uint32_t i = 0; i < length && ok_; i++) values.push_back(ToU32(array.Get(i), index));
    return values;
  }

 private:
  uint32_t ToU32(const Napi::Value& value, size_t index) {
    double number = 0;
    if (value.IsEmpty() || napi_get_value_double(info_.Env(), value, &number) != napi_ok ||
        !(number >= 0 && number <= UINT32_MAX) || number != std::floor(number)) {
      Refuse(index, "an integer from 0 to 2^32 - 1");
      return 0;
    }
    return static_cast<uint32_t>(number);
  }

  bool Refuse(size_t index, const char* allowed) {
    if (ok_ && !info_.Env().IsExceptionPending()) {
      std::string message = "argument " + std::to_string(index) + ": allowed is " + allowed;
      Napi::TypeError::New(info_.Env(), message).ThrowAsJavaScriptException();
    }
    ok_ = false;
    return false;
  }

  const Napi::CallbackInfo& info_;
  bool ok_ = true;
};

}  // namespace vsnd
