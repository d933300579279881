#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rechost {

/// The parts of Amazon S3's REST protocol that reading needs (https://docs.aws.amazon.com/AmazonS3/latest/API/). Nothing here waits.

/// Where the objects of a bucket are asked for, without a slash at the end. `endpoint` empty: AWS itself.
std::string s3_bucket_address(std::string_view endpoint, std::string_view region, std::string_view bucket);

/// Query of ListObjectsV2, sorted as a signature wants it. `continuation`: of the page before; empty: the first.
std::string s3_list_query(std::string_view prefix, std::string_view continuation);

struct S3Object {
  std::string key;
  std::uint64_t size = 0;
};

struct S3Page {
  std::vector<S3Object> objects;
  std::string continuation;  ///< empty: the last page
};

/// Throws Error for what is not an answer to ListObjectsV2.
S3Page parse_s3_page(std::string_view xml);

/// Code and message of an error's body; both empty when it has none.
struct S3Problem {
  std::string code;
  std::string message;
  std::string region;  ///< where the bucket is, when it is elsewhere
};
S3Problem parse_s3_problem(std::string_view xml);

}  // namespace rechost
