#pragma once

#include <algorithm>

namespace vsnd {

/**
 * Where another clock drives: by how much to resample so that what waits stays at its target. A proportional
 * and an integral part, critically damped: what is off by 1 ms is fixed within some ten seconds, at 500 ppm
 * at first, a pitch that nobody hears.
 */
class RateMatcher {
 public:
  void Restart() { has_begun_ = false; }

  /** `excess`: s by which more waits than should. `elapsed`: s since the last call. Returns frames out for
   * one that comes in: fewer where too much waits. */
  double Update(double excess, double elapsed) {
    if (!has_begun_) {
      has_begun_ = true;
      average_ = excess;
    }
    average_ += (excess - average_) * std::min(1.0, elapsed / kAveraged);
    integral_ = Clamp(integral_ + kIntegral * average_ * elapsed);
    return 1 - Clamp(kProportional * average_ + integral_);
  }

 private:
  static constexpr double kProportional = 0.5;
  static constexpr double kIntegral = kProportional * kProportional / 4;
  /** s */
  static constexpr double kAveraged = 0.25;
  /** No ratio is further from 1. */
  static constexpr double kMost = 0.01;

  static double Clamp(double value) { return std::min(std::max(value, -kMost), kMost); }

  bool has_begun_ = false;
  double average_ = 0;
  /** Stays from one time to the next: the clocks' deviation. */
  double integral_ = 0;
};

}  // namespace vsnd
