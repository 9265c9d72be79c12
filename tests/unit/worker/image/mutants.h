#pragma once
// Goal: no bytes crash or hang the decoders, and the same bytes always get the same verdict.
// Method: whole pictures, damaged by flips, cuts, runs and splices.

#include <random>
#include <vector>

#include "tests/unit/worker/image/picture_files.h"
#include "worker/image/image.h"

namespace trawl::worker {

/// One to eight times a bit flipped, a byte replaced, the end cut off, a run of zeros or ones
/// written, or a piece of another file put in.
File Mutate(File file, const std::vector<File>& others, std::mt19937_64& random);

/// How many mutants a test makes: $TRAWL_MUTATIONS, or `by_default`.
uint64_t MutantCount(uint64_t by_default);

/// Decodes `file` twice as a whole and once for a model's input: same verdict and pixels, within
/// the limits, a deadline, and the memory that is reserved for it beforehand. Fails the test
/// otherwise. Whether it is a picture.
bool ExpectOneVerdict(const File& file, const ImageLimits& limits);

/// ExpectOneVerdict on `count` mutants of `files` in turn. How many are still pictures.
uint64_t ExpectOneVerdictOnMutants(const std::vector<File>& files, uint64_t count);

}  // namespace trawl::worker
