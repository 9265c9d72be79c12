#include "tests/unit/storage/result_store/faulty_disk.h"

#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace trawl::testing {
namespace {

bool IsDatabaseOrLog(int flags) { return (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0; }

}  // namespace

/// SQLite allocates it; the real file lies behind it.
struct FaultyDisk::File {
  sqlite3_file base;
  FaultyDisk* disk;
  const char* path;  // SQLite's, and as long-lived as the file; null for those that do not fail
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

/// SQLite's interface, as plain functions.
struct FaultyDisk::Methods {
  static File& Of(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }
  static sqlite3_file* Real(sqlite3_file* file) { return Of(file).real(); }
  static bool Fails(sqlite3_file* file) {
    return Of(file).path != nullptr && Of(file).disk->Fails();
  }

  static int Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out) {
    auto* const disk = static_cast<FaultyDisk*>(vfs->pAppData);
    File& opened = Of(file);
    opened.base.pMethods = nullptr;
    opened.disk = disk;
    opened.path = IsDatabaseOrLog(flags) ? path : nullptr;
    const int code = disk->real_->xOpen(disk->real_, path, opened.real(), flags, out);
    if (code != SQLITE_OK) return code;
    opened.base.pMethods = &kFile;
    if (opened.path != nullptr) disk->opened_.insert(path);
    return SQLITE_OK;
  }
  static int Close(sqlite3_file* f) { return Real(f)->pMethods->xClose(Real(f)); }
  static int Read(sqlite3_file* f, void* to, int size, sqlite3_int64 at) {
    if (Fails(f)) return SQLITE_IOERR_READ;
    return Real(f)->pMethods->xRead(Real(f), to, size, at);
  }
  static int Write(sqlite3_file* f, const void* from, int size, sqlite3_int64 at) {
    if (Fails(f)) return SQLITE_IOERR_WRITE;
    return Real(f)->pMethods->xWrite(Real(f), from, size, at);
  }
  static int Truncate(sqlite3_file* f, sqlite3_int64 size) {
    if (Fails(f)) return SQLITE_IOERR_TRUNCATE;
    return Real(f)->pMethods->xTruncate(Real(f), size);
  }
  /// Not the real one: nobody cuts the power of the machine.
  static int Sync(sqlite3_file* f, int) {
    if (Of(f).path == nullptr) return SQLITE_OK;
    if (Fails(f)) return SQLITE_IOERR_FSYNC;
    Of(f).disk->synced_[Of(f).path] = ReadFile(Of(f).path);
    return SQLITE_OK;
  }
  static int FileSize(sqlite3_file* f, sqlite3_int64* size) {
    return Real(f)->pMethods->xFileSize(Real(f), size);
  }
  static int Lock(sqlite3_file* f, int level) { return Real(f)->pMethods->xLock(Real(f), level); }
  static int Unlock(sqlite3_file* f, int level) {
    return Real(f)->pMethods->xUnlock(Real(f), level);
  }
  static int CheckLock(sqlite3_file* f, int* out) {
    return Real(f)->pMethods->xCheckReservedLock(Real(f), out);
  }
  static int Control(sqlite3_file* f, int what, void* with) {
    return Real(f)->pMethods->xFileControl(Real(f), what, with);
  }
  static int SectorSize(sqlite3_file* f) { return Real(f)->pMethods->xSectorSize(Real(f)); }
  static int Traits(sqlite3_file* f) { return Real(f)->pMethods->xDeviceCharacteristics(Real(f)); }
  static int ShmMap(sqlite3_file* f, int page, int size, int extend, void volatile** out) {
    return Real(f)->pMethods->xShmMap(Real(f), page, size, extend, out);
  }
  static int ShmLock(sqlite3_file* f, int offset, int n, int flags) {
    return Real(f)->pMethods->xShmLock(Real(f), offset, n, flags);
  }
  static void ShmBarrier(sqlite3_file* f) { Real(f)->pMethods->xShmBarrier(Real(f)); }
  static int ShmUnmap(sqlite3_file* f, int remove) {
    return Real(f)->pMethods->xShmUnmap(Real(f), remove);
  }

  static const sqlite3_io_methods kFile;
};

const sqlite3_io_methods FaultyDisk::Methods::kFile = {
    2,       Close,      Read,   Write,  Truncate, Sync,       FileSize, Lock,    Unlock, CheckLock,
    Control, SectorSize, Traits, ShmMap, ShmLock,  ShmBarrier, ShmUnmap, nullptr, nullptr};

FaultyDisk::FaultyDisk() : real_(sqlite3_vfs_find(nullptr)), vfs_(*real_) {
  vfs_.zName = "faulty-disk";
  vfs_.pAppData = this;
  vfs_.szOsFile = real_->szOsFile + static_cast<int>(sizeof(File));
  vfs_.xOpen = Methods::Open;
  vfs_.pNext = nullptr;
  sqlite3_vfs_register(&vfs_, /*makeDflt=*/1);
}

FaultyDisk::~FaultyDisk() {
  sqlite3_vfs_unregister(&vfs_);
  sqlite3_vfs_register(real_, /*makeDflt=*/1);
}

void FaultyDisk::Arm(Fault fault, int call) {
  fault_ = fault;
  left_ = call;
  opened_.clear();
  synced_.clear();
  calls_ = 0;
  struck_ = false;
}

bool FaultyDisk::Fails() {
  ++calls_;
  if (fault_ == Fault::kNone) return false;
  if (left_ > 0) --left_;
  if (left_ > 0 || (struck_ && fault_ == Fault::kOnce)) return false;
  struck_ = true;
  return true;
}

void FaultyDisk::Heal() {
  const bool power_was_cut = struck_ && fault_ == Fault::kPowerCut;
  fault_ = Fault::kNone;
  if (!power_was_cut) return;
  for (const std::string& path : opened_) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << synced_[path];
    std::filesystem::remove(path + "-shm");  // is never on the disk
  }
}

}  // namespace trawl::testing
