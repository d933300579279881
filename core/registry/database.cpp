#include "registry/database.h"

#include <utility>

#include <sqlite3.h>

#include "base/error.h"

namespace rechost {

SqliteDatabase::SqliteDatabase(std::filesystem::path path, int busy_timeout_ms) : path_(std::move(path)) {
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2(path_.c_str(), &connection_, flags, nullptr) != SQLITE_OK) {
    const std::string reason = connection_ != nullptr ? sqlite3_errmsg(connection_) : "out of memory";
    sqlite3_close(connection_);
    fail("cannot open {}: {}", path_.string(), reason);
  }
  sqlite3_busy_timeout(connection_, busy_timeout_ms);
}

SqliteDatabase::~SqliteDatabase() { sqlite3_close(connection_); }

void SqliteDatabase::fail_with_reason(std::string_view what) const {
  fail("cannot {} {}: {}", what, path_.string(), sqlite3_errmsg(connection_));
}

void SqliteDatabase::execute(const std::string& sql) const {
  if (sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail_with_reason("use");
}

SqliteDatabase::Statement::Statement(const SqliteDatabase& database, std::string_view sql) : database_(database) {
  if (sqlite3_prepare_v2(database.connection_, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr) != SQLITE_OK) {
    database.fail_with_reason("read");
  }
}

SqliteDatabase::Statement::~Statement() { sqlite3_finalize(statement_); }

SqliteDatabase::Statement& SqliteDatabase::Statement::bind(std::string_view text) {
  // An empty view may have a null pointer, which SQLite would take for NULL.
  const char* bytes = text.empty() ? "" : text.data();
  if (sqlite3_bind_text64(statement_, ++bound_, bytes, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8) != SQLITE_OK) {
    database_.fail_with_reason("write to");
  }
  return *this;
}

SqliteDatabase::Statement& SqliteDatabase::Statement::bind(std::int64_t number) {
  if (sqlite3_bind_int64(statement_, ++bound_, number) != SQLITE_OK) database_.fail_with_reason("write to");
  return *this;
}

bool SqliteDatabase::Statement::step() {
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result != SQLITE_DONE) database_.fail_with_reason("use");
  return false;
}

std::string SqliteDatabase::Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return bytes == nullptr ? "" : std::string(bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
}

std::int64_t SqliteDatabase::Statement::number(int column) const { return sqlite3_column_int64(statement_, column); }

SqliteDatabase::Transaction::Transaction(const SqliteDatabase& database) : database_(database) { database_.execute("BEGIN IMMEDIATE"); }

SqliteDatabase::Transaction::~Transaction() {
  if (!committed_) sqlite3_exec(database_.connection_, "ROLLBACK", nullptr, nullptr, nullptr);
}

void SqliteDatabase::Transaction::commit() {
  database_.execute("COMMIT");
  committed_ = true;
}

}  // namespace rechost
