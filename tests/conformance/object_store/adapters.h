#pragma once
// The systems behind the object_store port, each with the few things that its tests need to do to
// it.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"
#include "config/status.h"

namespace trawl::storage {

/// One empty bucket, folder or web site.
class Place {
 public:
  virtual ~Place() = default;
  /// Settings that let a store reach it.
  virtual Settings StoreSettings() const = 0;
  /// As in JobSpec::source.
  virtual std::string Source() const = 0;
  /// A source of the same kind that does not exist.
  virtual std::string MissingSource() const = 0;
  virtual Status Put(const std::string& key, std::string_view bytes) = 0;
};

/// "local", "http" or "s3".
Result<std::unique_ptr<Place>> MakePlace(const std::string& adapter);

}  // namespace trawl::storage
