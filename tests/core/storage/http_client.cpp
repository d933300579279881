#include "storage/http_client.h"

#include <catch2/catch.hpp>

#include "loopback_server.h"

using namespace rechost;
using Catch::Matchers::Contains;

namespace {

const std::string kHashOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The Authorization header that goes to the server for AWS's examples of S3: their keys, their bucket, their time.
std::string authorization(const std::string& target, std::vector<std::string> more = {}) {
  test::LoopbackServer server(test::LoopbackServer::Files{{target, ""}});
  HttpRequest request{.url = server.address() + target};
  request.headers = {"Host: examplebucket.s3.amazonaws.com", "x-amz-date: 20130524T000000Z"};
  request.headers.insert(request.headers.end(), more.begin(), more.end());
  request.signature = HttpSignature{"us-east-1", "s3", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "", kHashOfNothing};
  HttpClient client({}, nullptr);
  REQUIRE(client.send(request).status < 300);
  const auto seen = server.requests().at(0);
  CHECK(seen.header("Expect").empty());
  CHECK(seen.header("x-amz-content-sha256") == kHashOfNothing);
  return seen.header("Authorization");
}

}  // namespace

// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "Examples: Signature calculations"
TEST_CASE("requests are signed as AWS's published examples are") {
  const std::string head = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, ";
  CHECK(authorization("/test.txt", {"Range: bytes=0-9"}) ==
        head + "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  CHECK(authorization("/?lifecycle=") ==
        head + "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  CHECK(authorization("/?max-keys=2&prefix=J") ==
        head + "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST_CASE("a session's token is sent and signed, and bodies need not be hashed") {
  test::LoopbackServer server(test::LoopbackServer::Files{{"/a", "content"}});
  HttpRequest request{.url = server.address() + "/a"};
  request.signature = HttpSignature{"eu-west-1", "s3", "KEY", "secret", "session"};
  HttpClient client({}, nullptr);
  CHECK(client.send(request).body == "content");
  const auto seen = server.requests().at(0);
  CHECK(seen.header("x-amz-security-token") == "session");
  CHECK(seen.header("x-amz-content-sha256") == "UNSIGNED-PAYLOAD");
  CHECK_THAT(seen.header("Authorization"), Contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token"));
  CHECK_THAT(seen.header("Authorization"), Contains("/eu-west-1/s3/aws4_request") && !Contains("secret,"));
}

TEST_CASE("parts are taken piece by piece, and what the taker throws ends the request") {
  test::LoopbackServer server(test::LoopbackServer::Files{{"/a", "0123456789"}});
  HttpRequest request{.url = server.address() + "/a", .range = "2-5"};
  std::string got;
  request.sink = [&](const HttpResponse& head, std::string_view piece) {
    CHECK(head.status == 206);
    CHECK(head.header("content-range") == "bytes 2-5/10");
    got += piece;
  };
  HttpClient client({}, nullptr);
  CHECK(client.send(request).status == 206);
  CHECK(got == "2345");
  request.sink = [](const HttpResponse&, std::string_view) { fail("enough"); };
  CHECK_THROWS_WITH(client.send(request), "enough");
  CHECK(client.send({.method = "HEAD", .url = server.address() + "/a"}).header("content-length") == "10");
  CHECK(client.send({.url = server.address() + "/b"}).status == 404);
}

TEST_CASE("no server is a failure that may pass, a bad address is one that does not") {
  HttpClient client({.connect_seconds = 2.0}, nullptr);
  std::string address;
  { address = test::LoopbackServer(test::LoopbackServer::Files{}).address(); }
  try {
    client.send({.url = address});
    FAIL("somebody answers");
  } catch (const HttpFailure& failure) {
    CHECK_FALSE(failure.may_have_arrived);
    CHECK_FALSE(failure.hopeless);
  }
  try {
    client.send({.url = "ftp://127.0.0.1/a"});
    FAIL("no such scheme");
  } catch (const HttpFailure& failure) {
    CHECK(failure.hopeless);
  }
}
