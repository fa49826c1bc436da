// The reference kernel of the recorded benchmarks as a library, so that both sides are timed in one process, in turns, by one clock.
// g++ -O3 -march=native -fopenmp -shared -fPIC -DREFERENCE='"FOLDER/kern.cpp"' -o yardstick.so yardstick.cpp
#define main reference_main
#include REFERENCE
#undef main

struct Yardstick { M model; double *values, *image; };

template <class T> static T* pages(const T* from, int64_t count) {
  size_t bytes = ((count * sizeof(T) + (1 << 21) - 1) >> 21) << 21;
  T* to = (T*)aligned_alloc(1 << 21, bytes);
  madvise(to, bytes, MADV_HUGEPAGE);
  if (from) memcpy(to, from, count * sizeof(T)); else memset(to, 0, bytes);
  return to;
}

extern "C" {
// branching 0: dense, the successors are not read.
Yardstick* yardstick_create(int64_t states, int64_t actions, int64_t branching, const int32_t* successors, const double* probabilities, const double* rewards, double discount) {
  Yardstick* y = new Yardstick;
  int64_t transitions = states * actions * (branching ? branching : states);
  y->model = M{states, actions, branching, branching ? pages(successors, transitions) : 0, pages(probabilities, transitions), pages(rewards, states * actions), discount};
  y->values = pages<double>(0, states);
  y->image = pages<double>(0, states);
  return y;
}

void yardstick_sweep(Yardstick* y, int threads) { sweep(y->model, y->values, y->image, threads); std::swap(y->values, y->image); }

// Value iteration from zero until the span of the residual certifies half of the tolerance, and one sweep more: mode "vispan" of the reference. Returns the sweeps.
int yardstick_certify(Yardstick* y, int threads, double tolerance) {
  const M& m = y->model;
  memset(y->values, 0, m.S * 8);
  double threshold = tolerance * (1 - m.g) / m.g;
  for (int sweeps = 1;; sweeps++) {
    sweep(m, y->values, y->image, threads);
    double least = INFINITY, most = -INFINITY;
    for (int64_t s = 0; s < m.S; s++) { double d = y->image[s] - y->values[s]; least = std::min(least, d); most = std::max(most, d); }
    std::swap(y->values, y->image);
    if (most - least < threshold) {
      double shift = m.g / (1 - m.g) * 0.5 * (most + least);
      for (int64_t s = 0; s < m.S; s++) y->values[s] += shift;
      sweep(m, y->values, y->image, threads);
      return sweeps + 1;
    }
  }
}

void yardstick_values(Yardstick* y, double* to) { memcpy(to, y->values, y->model.S * 8); }

void yardstick_free(Yardstick* y) {
  free((void*)y->model.idx); free((void*)y->model.p); free((void*)y->model.r); free(y->values); free(y->image);
  delete y;
}
}
