#pragma once

#include <string_view>

namespace rechost::app {

/// Whether the error is this process's own, of a rank that it has started and that was killed, or of another rank as this one heard it.
enum class LastWord { kOwn, kOfStarted, kOfAnother };

/// Leaves the error that ends this process where its launcher looks for it: in TORCHELASTIC_ERROR_FILE as torchrun shows it, and in a pod of
/// Kubernetes in the termination message (/dev/termination-log, or the file that RECHOST_TERMINATION_LOG names, with the
/// terminationMessagePath of the container), of which kubectl describe shows the first 4096 bytes. Several ranks of one pod write there: what
/// a rank says of itself stays, what others say of it does not replace it. Never throws: there is an error on its way already.
void leave_word(LastWord whose, std::string_view message) noexcept;

}  // namespace rechost::app
