#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace rechost {

/// A SQLite database file. Throws Error with the file and SQLite's own words. One thread.
class SqliteDatabase {
 public:
  /// Opens or creates. A writer that finds another one at work waits up to `busy_timeout_ms`.
  SqliteDatabase(std::filesystem::path path, int busy_timeout_ms);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;  // owns the connection
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  /// One prepared statement. `?1`, `?2`, ... are bound in order, then rows are stepped through.
  class Statement {
   public:
    ~Statement();
    Statement(const Statement&) = delete;  // owns the prepared statement
    Statement& operator=(const Statement&) = delete;

    Statement& bind(std::string_view text);
    Statement& bind(std::int64_t number);

    /// Whether there is a row (a further row).
    bool step();
    /// For statements without rows.
    void run() { step(); }

    std::string text(int column) const;
    std::int64_t number(int column) const;

   private:
    friend class SqliteDatabase;
    Statement(const SqliteDatabase& database, std::string_view sql);

    const SqliteDatabase& database_;
    sqlite3_stmt* statement_ = nullptr;
    int bound_ = 0;
  };

  Statement prepare(std::string_view sql) const { return Statement(*this, sql); }
  /// Any number of statements without parameters.
  void execute(const std::string& sql) const;

  /// Holds the right to write from the start, so that what was read stays true until commit(). Undone unless committed.
  class Transaction {
   public:
    explicit Transaction(const SqliteDatabase& database);
    ~Transaction();
    Transaction(const Transaction&) = delete;  // undoes once
    Transaction& operator=(const Transaction&) = delete;
    void commit();

   private:
    const SqliteDatabase& database_;
    bool committed_ = false;
  };

  const std::filesystem::path& path() const { return path_; }

 private:
  [[noreturn]] void fail_with_reason(std::string_view what) const;

  std::filesystem::path path_;
  sqlite3* connection_ = nullptr;
};

}  // namespace rechost
