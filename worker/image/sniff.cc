#include "worker/image/sniff.h"

#include <fmt/format.h>

#include <cctype>
#include <optional>
#include <string>
#include <string_view>

namespace trawl::worker {
namespace {

using namespace std::string_view_literals;

struct Magic {
  std::string_view prefix;
  std::string_view name;
};

// Formats that people do keep in buckets, so that the failure says what the object is. Only the
// three that pictures on the web are made of are decoded: every further decoder is a further way in
// for a stranger's bytes.
constexpr Magic kUnsupported[] = {
    {"GIF87a"sv, "GIF"},
    {"GIF89a"sv, "GIF"},
    {"II*\0"sv, "TIFF"},
    {"MM\0*"sv, "TIFF"},
    {"II+\0"sv, "TIFF"},
    {"MM\0+"sv, "TIFF"},
    {"8BPS"sv, "PSD"},
    {"\0\0\1\0"sv, "ICO"},
    {"\0\0\2\0"sv, "CUR"},
    {"\0\0\0\x0CjP  \r\n\x87\n"sv, "JPEG 2000"},
    {"\xFF\x4F\xFF\x51"sv, "JPEG 2000"},
    {"\xFF\x0A"sv, "JPEG XL"},
    {"\0\0\0\x0CJXL \r\n\x87\n"sv, "JPEG XL"},
    {"\x76\x2F\x31\x01"sv, "OpenEXR"},
    {"#?RADIANCE"sv, "Radiance HDR"},
    {"DDS "sv, "DDS"},
    {"qoif"sv, "QOI"},
    {"\x8AMNG\r\n\x1A\n"sv, "MNG"},
    {"\x8BJNG\r\n\x1A\n"sv, "JNG"},
    {"\x59\xA6\x6A\x95"sv, "Sun raster"},
    {"icns"sv, "ICNS"},
};

std::string_view Text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool IsBmp(Bytes bytes) {
  // Two letters prove little: the size of the header that follows must be one of those in use.
  ByteReader reader(bytes, /*big_endian=*/false);
  uint32_t header = 0;
  return StartsWith(bytes, "BM") && reader.Skip(14) && reader.U32(header) &&
         (header == 12 || header == 16 || (header >= 40 && header <= 124));
}

bool IsNetpbm(std::string_view text) {
  return text.size() > 2 && text[0] == 'P' && text[1] >= '1' && text[1] <= '7' &&
         (text[2] == '\n' || text[2] == ' ' || text[2] == '\r' || text[2] == '\t');
}

/// ISO base media: the brand says which coding is inside.
std::optional<std::string_view> HeifName(std::string_view text) {
  if (text.size() < 12 || text.substr(4, 4) != "ftyp") return std::nullopt;
  const std::string_view brand = text.substr(8, 4);
  if (brand == "avif" || brand == "avis") return "AVIF";
  for (std::string_view heic : {"heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1"})
    if (brand == heic) return "HEIC";
  return std::nullopt;
}

std::optional<std::string_view> UnsupportedName(Bytes bytes) {
  const std::string_view text = Text(bytes);
  for (const Magic& magic : kUnsupported)
    if (text.substr(0, magic.prefix.size()) == magic.prefix) return magic.name;
  if (IsBmp(bytes)) return "BMP";
  if (IsNetpbm(text)) return "PNM";
  return HeifName(text);
}

/// What a web server answers instead of a picture.
std::optional<std::string_view> DocumentName(std::string_view text) {
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  std::string start;
  for (char c : text.substr(0, 14))
    start += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (start == "<!doctype html" || start.starts_with("<html") || start.starts_with("<head"))
    return "an HTML page";
  if (start.starts_with("<svg")) return "an SVG drawing";
  if (start.starts_with("<?xml")) return "an XML document";
  if (start.starts_with("%pdf-")) return "a PDF document";
  if (start.starts_with("{") || start.starts_with("[")) return "a JSON document";
  return std::nullopt;
}

tl::unexpected<ObjectError> Refuse(ObjectErrorCode code, std::string message) {
  return tl::unexpected(ObjectError{code, std::move(message)});
}

}  // namespace

ObjectResult<ImageFormat> SniffFormat(Bytes bytes) {
  if (bytes.empty()) return Refuse(ObjectErrorCode::kNotAnImage, "the object is empty");
  if (StartsWith(bytes, "\xFF\xD8\xFF")) return ImageFormat::kJpeg;
  if (StartsWith(bytes, "\x89PNG\r\n\x1A\n")) return ImageFormat::kPng;
  if (StartsWith(bytes, "RIFF") && bytes.size() >= 12 && StartsWith(bytes.subspan(8), "WEBP"))
    return ImageFormat::kWebp;
  if (auto name = UnsupportedName(bytes))
    return Refuse(ObjectErrorCode::kUnsupportedFormat,
                  fmt::format("{} pictures are not decoded; JPEG, PNG and WebP are", *name));
  if (auto name = DocumentName(Text(bytes)))
    return Refuse(ObjectErrorCode::kNotAnImage, fmt::format("looks like {}", *name));
  return Refuse(ObjectErrorCode::kNotAnImage, "the first bytes are those of no image format");
}

}  // namespace trawl::worker
