#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <string>

#include "base/time.h"
#include "storage/aws_profile.h"

namespace rechost {

struct AwsCredentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token;         ///< empty: none
  std::optional<WallTime> expires;   ///< unset: never
  std::string source;                ///< "environment (AWS_ACCESS_KEY_ID)", for messages
};

/// Who we are to S3, looked for in this order: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN); the profile of
/// read_aws_profile(); the instance that we run on (metadata service, version 2; AWS_EC2_METADATA_SERVICE_ENDPOINT is another address of it,
/// AWS_EC2_METADATA_DISABLED=true leaves it out). Any thread.
class AwsCredentialSource {
 public:
  /// `cancel` as in HttpClient.
  AwsCredentialSource(Variables variables, const std::atomic<bool>* cancel);

  /// Nothing when there are none anywhere: then requests go unsigned, which public buckets allow. Those of an instance are asked for again
  /// before they expire. Throws ConfigError for a part of a pair, and for a profile that signs in by a way that is not supported.
  std::optional<AwsCredentials> get();
  /// The server called `used` expired: the next get() asks anew. False when they cannot be renewed.
  bool renew(const AwsCredentials& used);
  /// Where get() looked, for the message that nothing was found.
  std::string searched();
  /// AWS_REGION, AWS_DEFAULT_REGION, the profile's; empty when nobody says.
  std::string region();
  /// AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile's; empty: AWS itself.
  std::string endpoint();

 private:
  const AwsProfile& profile();
  std::optional<AwsCredentials> of_environment();
  std::optional<AwsCredentials> of_profile();
  std::optional<AwsCredentials> of_instance();

  const Variables variables_;
  const std::atomic<bool>* cancel_;
  std::mutex mutex_;
  std::optional<AwsProfile> profile_;
  bool looked_ = false;
  std::optional<AwsCredentials> found_;
  std::string instance_problem_;  ///< why the metadata service gave none
};

}  // namespace rechost
