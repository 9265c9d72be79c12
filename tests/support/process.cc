#include "tests/support/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "config/check.h"
#include "config/clock.h"

extern char** environ;

namespace trawl::testing {
namespace {

// Everything that the child needs between fork and exec, where nothing may be allocated.
struct Launch {
  std::vector<std::string> strings;
  std::vector<char*> argv;
  std::vector<char*> environment;
  std::string output;
  std::string stdout_file;
  std::string directory;
  pid_t parent = getpid();
};

bool Overrides(const ProcessOptions& options, std::string_view entry) {
  const std::string_view name = entry.substr(0, entry.find('='));
  for (const auto& [key, value] : options.environment)
    if (key == name) return true;
  return false;
}

std::unique_ptr<Launch> Prepare(const ProcessOptions& options) {
  auto launch = std::make_unique<Launch>();
  launch->strings = options.argv;
  for (const auto& [name, value] : options.environment)
    launch->strings.push_back(name + "=" + value);
  for (size_t i = 0; i < launch->strings.size(); ++i)
    (i < options.argv.size() ? launch->argv : launch->environment)
        .push_back(launch->strings[i].data());
  for (char** entry = environ; *entry != nullptr; ++entry)
    if (!Overrides(options, *entry)) launch->environment.push_back(*entry);
  launch->argv.push_back(nullptr);
  launch->environment.push_back(nullptr);
  launch->output = options.output.empty() ? "/dev/null" : options.output.string();
  launch->stdout_file = options.stdout_file.string();
  launch->directory = options.directory.string();
  return launch;
}

// Runs in the child; ends in exec, or writes errno to `report`.
[[noreturn]] void Exec(const Launch& launch, int report) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != launch.parent) _exit(127);  // the parent died before the line above
  const int in = open("/dev/null", O_RDONLY);
  const int err = open(launch.output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  const int out = launch.stdout_file.empty()
                      ? err
                      : open(launch.stdout_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  const bool placed = launch.directory.empty() || chdir(launch.directory.c_str()) == 0;
  if (in >= 0 && err >= 0 && out >= 0 && placed && dup2(in, 0) >= 0 && dup2(out, 1) >= 0 &&
      dup2(err, 2) >= 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execvpe(launch.argv[0], launch.argv.data(), launch.environment.data());
  }
  const int error = errno;
  static_cast<void>(!write(report, &error, sizeof error));
  _exit(127);
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

}  // namespace

Result<std::unique_ptr<Process>> Process::Start(const ProcessOptions& options) {
  if (options.argv.empty()) return Error(Code::kInvalidArgument, "starting a process: no argv");
  const std::unique_ptr<Launch> launch = Prepare(options);
  int report[2];
  CHECK(pipe2(report, O_CLOEXEC) == 0);
  const pid_t pid = fork();
  if (pid == 0) Exec(*launch, report[1]);
  close(report[1]);
  if (pid < 0) {
    close(report[0]);
    return Error(Code::kUnavailable, "starting {}: {}", options.argv[0], std::strerror(errno));
  }
  setpgid(pid, pid);  // in the child too: whichever comes first
  std::unique_ptr<Process> process(new Process(pid));
  int error = 0;
  const bool failed = read(report[0], &error, sizeof error) == sizeof error;
  close(report[0]);
  if (failed)
    return Error(Code::kNotFound, "starting {}: {}", options.argv[0], std::strerror(error));
  return process;
}

Process::~Process() { Kill(); }

void Process::Signal(int signal) {
  if (!exit_code_) kill(pid_, signal);
}

void Process::Kill() {
  // The group may outlive the child: it is killed even when the child has ended by itself.
  killpg(pid_, SIGKILL);
  if (exit_code_) return;
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool Process::Running() { return !Wait(std::chrono::milliseconds(0)); }

std::optional<int> Process::Wait(std::chrono::milliseconds timeout) {
  WaitUntil(
      [this] {
        int status = 0;
        if (!exit_code_ && waitpid(pid_, &status, WNOHANG) == pid_)
          exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return exit_code_.has_value();
      },
      timeout);
  return exit_code_;
}

Result<int> RunProcess(const ProcessOptions& options, std::chrono::milliseconds timeout) {
  TRAWL_ASSIGN(const std::unique_ptr<Process> process, Process::Start(options));
  if (const std::optional<int> code = process->Wait(timeout)) return *code;
  return Error(Code::kDeadlineExceeded, "running {}: not done after {} ms", options.argv[0],
               timeout.count());
}

int FreePort() {
  // Stays open: a socket that is bound and not listening keeps the port from other tests and from
  // becoming some connection's own end, but not from a server that sets SO_REUSEADDR.
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
  CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const int on = 1;  // only now: it is free at this moment
  CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
  return ntohs(address.sin_port);
}

bool WaitForPort(int port, std::chrono::milliseconds timeout) {
  return WaitUntil(
      [port] {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0);
        const sockaddr_in address = Loopback(port);
        const bool connected =
            connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
        close(fd);
        return connected;
      },
      timeout);
}

bool WaitUntil(const std::function<bool()>& condition, std::chrono::milliseconds timeout) {
  const auto deadline = SystemClock().Now() + timeout;
  while (!condition()) {
    if (SystemClock().Now() >= deadline) return false;
    SystemClock().SleepFor(std::chrono::milliseconds(10));
  }
  return true;
}

}  // namespace trawl::testing
