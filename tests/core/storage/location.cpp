#include "storage/location.h"

#include <catch2/catch.hpp>

#include "base/error.h"
#include "storage/http_client.h"
#include "storage/s3_protocol.h"

using namespace rechost;
using Catch::Matchers::Contains;

TEST_CASE("a location is a path, an address or a key in a bucket") {
  struct Case {
    const char *text, *path, *bucket, *shown;
    Location::Scheme scheme;
  };
  const Case cases[] = {
      {"data/a.csv", "data/a.csv", "", "data/a.csv", Location::Scheme::kFile},
      {"/data/", "/data", "", "/data", Location::Scheme::kFile},
      {"/", "/", "", "/", Location::Scheme::kFile},
      {"a:b/c", "a:b/c", "", "a:b/c", Location::Scheme::kFile},
      {"folder/http://x", "folder/http://x", "", "folder/http://x", Location::Scheme::kFile},
      {"file:///data/a", "/data/a", "", "/data/a", Location::Scheme::kFile},
      {"file:/data/a", "/data/a", "", "/data/a", Location::Scheme::kFile},
      {"file://localhost/data", "/data", "", "/data", Location::Scheme::kFile},
      {"//data//a", "//data//a", "", "//data//a", Location::Scheme::kFile},
      {"s3://bucket/a/b", "a/b", "bucket", "s3://bucket/a/b", Location::Scheme::kS3},
      {"S3://bucket/a/b/", "a/b", "bucket", "s3://bucket/a/b", Location::Scheme::kS3},
      {"s3://bucket", "", "bucket", "s3://bucket/", Location::Scheme::kS3},
      {"s3://bucket/a?b#c%20d", "a?b#c%20d", "bucket", "s3://bucket/a?b#c%20d", Location::Scheme::kS3},
      {"http://host:80/a/", "http://host:80/a", "", "http://host:80/a", Location::Scheme::kHttp},
      {"HTTPS://host/a?b=c/", "https://host/a?b=c/", "", "https://host/a?b=c/", Location::Scheme::kHttp},
  };
  for (const Case& each : cases) {
    INFO(each.text);
    const Location location = Location::parse(each.text);
    CHECK(location.scheme() == each.scheme);
    CHECK(location.path() == each.path);
    CHECK(location.bucket() == each.bucket);
    CHECK(location.text() == each.shown);
    CHECK(location.remote() == (each.scheme != Location::Scheme::kFile));
    CHECK(Location::is_remote(each.text) == location.remote());
    CHECK(Location::parse(location.text()).path() == location.path());
  }
}

TEST_CASE("what is no location says what would be") {
  CHECK_THROWS_WITH(Location::parse(""), Contains("an empty path"));
  CHECK_THROWS_WITH(Location::parse("file://host/a"), Contains("names another machine; write file:///path"));
  CHECK_THROWS_WITH(Location::parse("s3:///key"), Contains("names no bucket: write s3://bucket/path"));
  CHECK_THROWS_WITH(Location::parse("http:///a"), Contains("names no server"));
  CHECK_THROWS_WITH(Location::parse("gs://bucket/a"), Contains("not from gs://"));
  CHECK_THROWS_AS(Location::parse("a\nb"), ConfigError);
  CHECK_THROWS_AS(Location::parse(std::string_view("a\0b", 3)), ConfigError);
}

TEST_CASE("what lies below a folder") {
  const auto child = [](const char* folder, const char* name) { return Location::parse(folder).child(name).text(); };
  CHECK(child("/data", "a/b.mds") == "/data/a/b.mds");
  CHECK(child("/", "a") == "/a");
  CHECK(child("s3://bucket/a", "b c+d") == "s3://bucket/a/b c+d");
  CHECK(child("s3://bucket", "b") == "s3://bucket/b");
  CHECK(child("http://host/a", "b c/d") == "http://host/a/b%20c/d");
  CHECK(child("http://host/a?token=x/y", "b") == "http://host/a/b?token=x/y");
}

TEST_CASE("keys become paths that a signature can be made of") {
  CHECK(percent_encoded("a b/c+d=é~", true) == "a%20b/c%2Bd%3D%C3%A9~");
  CHECK(percent_encoded("a/b") == "a%2Fb");
  CHECK(s3_list_query("x y/", "") == "encoding-type=url&list-type=2&prefix=x%20y%2F");
  CHECK(s3_list_query("", "a+b=") == "continuation-token=a%2Bb%3D&encoding-type=url&list-type=2&prefix=");
  CHECK(s3_bucket_address("http://127.0.0.1:9000", "eu-west-1", "bucket") == "http://127.0.0.1:9000/bucket");
  CHECK(s3_bucket_address("", "eu-west-1", "bucket") == "https://bucket.s3.eu-west-1.amazonaws.com");
}

TEST_CASE("lists and errors of S3 are read, and nothing else is taken for one") {
  const S3Page page = parse_s3_page("<?xml version=\"1.0\"?><ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
                                    "<NextContinuationToken>a&amp;b</NextContinuationToken><Contents><Key>x%20y/%C3%A9+z</Key><Size>12</Size></Contents>"
                                    "<Contents><Key>plain</Key><Size>0</Size></Contents></ListBucketResult>");
  REQUIRE(page.objects.size() == 2);
  CHECK(page.objects[0].key == "x y/é z");
  CHECK(page.objects[0].size == 12);
  CHECK(page.objects[1].key == "plain");
  CHECK(page.continuation == "a&b");
  CHECK(parse_s3_page("<ListBucketResult><Contents><Key>a%20&lt;b</Key><Size>1</Size></Contents></ListBucketResult>").objects[0].key == "a%20<b");
  CHECK(parse_s3_page("<ListBucketResult></ListBucketResult>").objects.empty());
  CHECK_THROWS_WITH(parse_s3_page("<html>sign in</html>"), Contains("no list of objects"));
  CHECK_THROWS_WITH(parse_s3_page("<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>"), Contains("no name or no size"));
  CHECK_THROWS_WITH(parse_s3_page("<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>"), Contains("no name or no size"));
  CHECK_THROWS_WITH(parse_s3_page("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"), Contains("does not say where"));
  const S3Problem problem = parse_s3_problem("<Error><Code>PermanentRedirect</Code><Message>a &quot;b&quot;</Message><Region>eu-west-1</Region></Error>");
  CHECK(problem.code == "PermanentRedirect");
  CHECK(problem.message == "a \"b\"");
  CHECK(problem.region == "eu-west-1");
  CHECK(parse_s3_problem("no xml").code.empty());
}
