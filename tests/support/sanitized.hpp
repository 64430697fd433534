// Whether the tests run under AddressSanitizer or ThreadSanitizer, which make them slower by an
// order of magnitude: what is random is repeated less often there.
#pragma once

namespace actionflows::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

}  // namespace actionflows::test
