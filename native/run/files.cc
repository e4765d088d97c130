#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "error.h"

namespace run {
namespace {

// Closes a file descriptor that nobody closed.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int descriptor() const { return descriptor_; }

  // Some file systems report a full disk only here.
  bool close_now() {
    const int found = close(descriptor_);
    descriptor_ = -1;
    return found == 0;
  }

 private:
  int descriptor_;
};

bool write_all(int descriptor, const Bytes& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t count = write(descriptor, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    done += (size_t)count;
  }
  return true;
}

mode_t file_mode() {
  const mode_t mask = umask(0);  // it can only be read by setting it
  umask(mask);
  return 0666 & ~mask;
}

}  // namespace

Bytes read_file(const std::string& path, uint64_t most) {
  const auto refuse = [&](int why) {
    throw Error{DATA, path, std::string("cannot be read: ") + strerror(why), "check the path"};
  };
  File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.descriptor() < 0) refuse(errno);
  struct stat found{};
  if (fstat(file.descriptor(), &found) != 0) refuse(errno);
  const uint64_t limit = most == UINT64_MAX ? most : most + 1;
  Bytes bytes;
  // A pipe has no length: it grows as it is read.
  if (S_ISREG(found.st_mode)) bytes.reserve((size_t)std::min((uint64_t)found.st_size, limit) + 1);
  uint8_t block[65536];
  while (bytes.size() < limit) {
    const uint64_t room = std::min<uint64_t>(sizeof block, limit - bytes.size());
    const ssize_t count = read(file.descriptor(), block, (size_t)room);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse(errno);
    if (count == 0) break;
    bytes.insert(bytes.end(), block, block + count);
  }
  return bytes;
}

void write_file(const std::string& path, const Bytes& bytes) {
  const size_t slash = path.rfind('/');
  const size_t base = slash == std::string::npos ? 0 : slash + 1;
  std::string temporary = path.substr(0, base) + ".bittrue-run.XXXXXX";
  const int descriptor = mkstemp(temporary.data());
  const auto refuse = [&](int why) {
    if (descriptor >= 0) unlink(temporary.c_str());
    throw Error{DATA, path, std::string("cannot be written: ") + strerror(why),
                "check that the folder exists, is yours to write, and has room"};
  };
  if (descriptor < 0) refuse(errno);
  File file(descriptor);
  if (!write_all(descriptor, bytes) || fsync(descriptor) != 0) refuse(errno);
  if (fchmod(descriptor, file_mode()) != 0 || !file.close_now()) refuse(errno);
  if (rename(temporary.c_str(), path.c_str()) != 0) refuse(errno);
}

bool is_folder(const std::string& path) {
  struct stat found{};
  return stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

bool is_there(const std::string& path) {
  struct stat found{};
  return stat(path.c_str(), &found) == 0;
}

void make_folder(const std::string& path) {
  if (is_folder(path)) return;
  if (mkdir(path.c_str(), 0777) != 0) {
    throw Error{DATA, path, std::string("the folder cannot be made: ") + strerror(errno),
                "name a folder whose parent exists and is yours to write"};
  }
}

}  // namespace run
