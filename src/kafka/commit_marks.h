// What stands beside a committed offset of a consumer group: which members have come how far with
// this partition, each by the id of its log and the position at which it last proposed a range.
//
// Each owner of a partition carries on what it found and puts its own mark first. So who does not
// know whether a commit of its own was taken can tell later, whoever has owned the partition since:
// it was if the log's mark is at or behind the position it proposed. Kafka keeps 4,096 bytes with
// an offset, so kMarksMax logs are remembered; the one that committed longest ago is forgotten
// first. Plain data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace streamobs::kafka {

class CommitMarks {
 public:
  static constexpr std::size_t kMarksMax = 64;

  /// What is not ours (another program's metadata, or none) is no marks.
  static CommitMarks parse(std::string_view metadata);
  std::string text() const;

  /// The position of that log's last commit; 0: none is known.
  std::uint64_t of(std::uint64_t log_id) const;
  void set(std::uint64_t log_id, std::uint64_t position);
  void forget(std::uint64_t log_id);
  std::size_t size() const { return marks_.size(); }

 private:
  struct Mark {
    std::uint64_t log_id = 0;
    std::uint64_t position = 0;
  };
  std::vector<Mark> marks_;  ///< The newest first.
};

}  // namespace streamobs::kafka
