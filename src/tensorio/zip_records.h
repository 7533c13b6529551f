// The records of a zip archive as torch.save writes it.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace dept {

using ZipRecords = std::map<std::string, std::span<const std::byte>, std::less<>>;

/// Name -> bytes inside `archive`. Nothing is unpacked: compressed and encrypted records are refused, as are names that come
/// twice and records that overlap. Throws bad_input; `where` names the file.
ZipRecords read_zip_records(std::span<const std::byte> archive, const std::string& where);

}  // namespace dept
