#include "producer/gunzip_stream.h"

#include <zlib.h>

#include <algorithm>

namespace trawl::producer {
namespace {

constexpr int kGzipOnly = 16 + MAX_WBITS;  // zlib's way to ask for gzip's header and checksum
constexpr char kMagic[] = {'\x1F', '\x8B'};

}  // namespace

class GunzipStream::Buffer final : public std::streambuf {
 public:
  explicit Buffer(std::unique_ptr<std::istream> packed) : packed_(std::move(packed)) {
    ready_ = inflateInit2(&inflate_, kGzipOnly) == Z_OK;
    if (!ready_) status_ = Error(Code::kResourceExhausted, "no memory to unpack gzip");
  }
  ~Buffer() override {
    if (ready_) inflateEnd(&inflate_);
  }

  const Status& status() const { return status_; }

 private:
  int_type underflow() override {
    while (status_.ok() && !ended_) {
      if (inflate_.avail_in == 0 && !Refill()) break;
      inflate_.next_out = reinterpret_cast<Bytef*>(out_.data());
      inflate_.avail_out = static_cast<uInt>(out_.size());
      const int result = inflate(&inflate_, Z_NO_FLUSH);
      between_members_ = result == Z_STREAM_END;
      if (between_members_) inflateReset(&inflate_);  // another member may follow
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        status_ = Error(Code::kDataLoss, "damaged gzip data");
      const size_t got = out_.size() - inflate_.avail_out;
      if (got == 0) continue;
      setg(out_.data(), out_.data(), out_.data() + got);
      return traits_type::to_int_type(out_[0]);
    }
    return traits_type::eof();
  }

  bool Refill() {
    // What there is, and not a whole buffer: a pipe may be slow.
    packed_->peek();
    const std::streamsize ready = packed_->good() ? packed_->rdbuf()->in_avail() : 0;
    packed_->read(in_.data(), std::min(ready, static_cast<std::streamsize>(in_.size())));
    inflate_.next_in = reinterpret_cast<Bytef*>(in_.data());
    inflate_.avail_in = static_cast<uInt>(packed_->gcount());
    if (inflate_.avail_in > 0) return true;
    ended_ = true;
    if (packed_->bad() || !between_members_)
      status_ = Error(Code::kDataLoss, "the gzip data ends too early");
    return false;
  }

  const std::unique_ptr<std::istream> packed_;
  z_stream inflate_{};
  Status status_;
  bool ready_ = false, ended_ = false;
  bool between_members_ = false;
  std::array<char, 64 << 10> in_, out_;
};

GunzipStream::GunzipStream(std::unique_ptr<std::istream> packed)
    : std::istream(nullptr), buffer_(std::make_unique<Buffer>(std::move(packed))) {
  rdbuf(buffer_.get());
}

GunzipStream::~GunzipStream() = default;

const Status& GunzipStream::status() const { return buffer_->status(); }

bool IsGzip(std::istream& stream) {
  std::streambuf& bytes = *stream.rdbuf();
  if (bytes.sgetc() != std::char_traits<char>::to_int_type(kMagic[0])) return false;
  bytes.sbumpc();
  const bool gzip = bytes.sgetc() == std::char_traits<char>::to_int_type(kMagic[1]);
  bytes.sungetc();
  return gzip;
}

}  // namespace trawl::producer
