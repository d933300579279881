#include "device/gpu.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <numeric>

#include "base/error.h"
#include "core/device/gpus.h"
#include "core/folder.h"
#include "device/gpu_upload.h"

using namespace rechost;
using rechost::test::OnGpu;

namespace {

void check_memory(const std::shared_ptr<Gpu>& gpu) {
  std::vector<float> values(1001);
  std::iota(values.begin(), values.end(), 0.0F);
  const OnGpu<float> there(gpu, values);
  REQUIRE(there.read() == values);
  gpu->fill_zero(there.data() + 1, 1000 * sizeof(float));
  std::vector<float> expected(1001);
  REQUIRE(there.read() == expected);

  DeviceBuffer buffer(gpu, 100, "a test");
  void* const before = buffer.data<void>();
  buffer.reserve(gpu, 100, "a test");
  REQUIRE(buffer.data<void>() == before);
  DeviceBuffer moved = std::move(buffer);
  REQUIRE(buffer.bytes() == 0);
  moved.reserve(gpu, 200, "a test");
  REQUIRE(moved.bytes() >= 200);
  REQUIRE_THROWS_WITH(DeviceBuffer(gpu, std::size_t{1} << 50, "table \"users\""),
                      Catch::Contains("table \"users\"") && Catch::Contains("1125899906842624 bytes") && Catch::Contains("run.device"));
  // A refusal leaves the device as it was.
  REQUIRE(DeviceBuffer(gpu, 100, "a test").bytes() == 100);
}

void check_upload(const std::shared_ptr<Gpu>& gpu) {
  GpuUpload upload(gpu, "a test");
  for (const std::int32_t size : {3, 0, 1000, 17}) {
    const std::vector<std::int32_t> numbers(static_cast<std::size_t>(size), size);
    const std::vector<double> others{1.0, 2.0, 3.0};
    const std::span<const std::int32_t> view(numbers);
    const std::span<const double> other_view(others);
    upload.begin(GpuUpload::bytes_of(view) + GpuUpload::bytes_of(other_view));
    const std::int32_t* const there = upload.add(view);
    const double* const other_there = upload.add(other_view);
    REQUIRE_THROWS_AS(upload.add(other_view), Error);
    upload.finish();
    std::vector<std::int32_t> read(numbers.size());
    std::vector<double> other_read(others.size());
    gpu->copy_out(read.data(), there, view.size_bytes());
    gpu->copy_out(other_read.data(), other_there, other_view.size_bytes());
    REQUIRE(read == numbers);
    REQUIRE(other_read == others);
  }
}

}  // namespace

TEST_CASE("memory of the emulated GPU is filled, read, grown and refused") { check_memory(test::emulated_gpu()); }
TEST_CASE("memory of a GPU is filled, read, grown and refused", "[gpu]") { check_memory(test::real_gpu()); }
TEST_CASE("arrays reach the emulated GPU in one copy") { check_upload(test::emulated_gpu()); }
TEST_CASE("arrays reach a GPU in one copy", "[gpu]") { check_upload(test::real_gpu()); }

TEST_CASE("the emulated GPU notices copies outside of its memory") {
  const auto gpu = test::emulated_gpu();
  const DeviceBuffer buffer(gpu, 16, "a test");
  float values[5] = {};
  REQUIRE_THROWS_AS(gpu->copy_in(buffer.data<float>(), values, sizeof(values)), DeviceError);
  REQUIRE_THROWS_AS(gpu->copy_out(values, values, 4), DeviceError);
  REQUIRE_THROWS_AS(gpu->copy_in(buffer.data<float>(), buffer.data<float>(), 4), DeviceError);
}

TEST_CASE("the emulated GPU ends a program that touches its memory") {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDERR_FILENO);
    const auto gpu = test::emulated_gpu();
    const DeviceBuffer buffer(gpu, 16, "a test");
    std::signal(SIGABRT, SIG_DFL);
    _exit(*static_cast<volatile float*>(buffer.data<float>()) == 0.0F ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(WTERMSIG(status) == SIGABRT);
}

TEST_CASE("a module that is missing, no library or of another build is refused") {
  const test::Folder folder;
  REQUIRE_THROWS_WITH(CudaModule::open(folder.path() / "rechost_cuda.so"), Catch::Contains("has no CUDA module") && Catch::Contains("preset"));
  REQUIRE_THROWS_WITH(CudaModule::open(folder.write("text.so", "hello")), Catch::Contains("cannot be loaded"));
  // A library that is none of ours: it has no table.
  REQUIRE_THROWS_WITH(CudaModule::open("/lib/x86_64-linux-gnu/libm.so.6"), Catch::Contains("rechost_cuda_runtime"));
}

TEST_CASE("a GPU that is not there is refused by its number") {
  REQUIRE_THROWS_WITH(Gpu::use(CudaModule::open(test::module_path("rechost_cuda_emulated.so")), 3), Catch::Contains("no GPU 3"));
}

TEST_CASE("the CUDA module loads without a driver and says why there is no GPU") {
  const auto path = test::module_path("rechost_cuda.so");
  if (!std::filesystem::exists(path)) {
    // This build was configured without a CUDA toolkit: then the refusal is the missing module.
    REQUIRE_THROWS_WITH(CudaModule::open(path), Catch::Contains("has no CUDA module"));
    return;
  }
  const CudaModule module = CudaModule::open(path);
  if (std::filesystem::exists("/dev/nvidiactl")) {
    REQUIRE(!list_gpus(module).empty());
  } else {
    REQUIRE_THROWS_WITH(list_gpus(module), Catch::Contains("driver"));
  }
}
