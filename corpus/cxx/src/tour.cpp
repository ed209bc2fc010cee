// What a C++ program asks of the dynamic linker, of the C++ library and of the kernel: streams,
// containers, exceptions through several frames and out of a thread, thread-local objects,
// destructors at exit, dlsym.

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

struct AtExit {
    ~AtExit() { std::cout << "static object destroyed\n"; }
} at_exit;

thread_local std::string greeting = "fresh";

struct Unwound {
    std::vector<std::string>& log;
    std::string name;
    ~Unwound() { log.push_back(name); }
};

[[noreturn]] void deep(std::vector<std::string>& log, int depth) {
    Unwound here{log, "frame " + std::to_string(depth)};
    if (depth == 0) {
        throw std::out_of_range("thrown at the bottom");
    }
    deep(log, depth - 1);
}

void exceptions() {
    std::vector<std::string> log;
    try {
        deep(log, 3);
    } catch (const std::out_of_range& error) {
        std::cout << error.what() << ", unwound " << log.size() << " frames, first " << log.front() << '\n';
    }
    try {
        std::vector<int>(3).at(7);
    } catch (const std::exception& error) {
        std::cout << "the library throws, too\n";
    }
    auto failing = std::async(std::launch::async, []() -> int { throw std::runtime_error("from a thread"); });
    try {
        failing.get();
    } catch (const std::runtime_error& error) {
        std::cout << error.what() << '\n';
    }
}

void threads() {
    std::map<std::string, long> counts;
    std::mutex mutex;
    std::atomic<long> total{0};
    std::vector<std::thread> workers;
    for (int worker = 0; worker < 4; ++worker) {
        workers.emplace_back([&, worker] {
            greeting += " in thread";
            for (int step = 0; step < 5000; ++step) {
                total += step;
                if (step % 10 == 0) {
                    std::lock_guard lock(mutex);
                    ++counts["worker " + std::to_string(worker)];
                }
            }
        });
    }
    for (auto& worker : workers) {
        worker.join();
    }
    for (const auto& [name, count] : counts) {
        std::cout << name << ": " << count << '\n';
    }
    std::cout << "total " << total << ", the main thread's greeting is " << greeting << '\n';
}

void containers() {
    std::map<int, std::unique_ptr<std::string>> squares;
    for (int key = 0; key < 20000; ++key) {
        squares[key * 7919 % 20011] = std::make_unique<std::string>(std::to_string(key));
    }
    std::vector<long> values(100000);
    std::iota(values.begin(), values.end(), 0);
    std::reverse(values.begin(), values.end());
    std::sort(values.begin(), values.end());
    std::cout << squares.size() << " keys, first " << *squares.begin()->second << ", last "
              << *squares.rbegin()->second << ", sum " << std::accumulate(values.begin(), values.end(), 0L) << '\n';
}

void streams() {
    {
        std::ofstream out("stream.txt");
        for (int line = 0; line < 1000; ++line) {
            out << line << ' ' << line * 0.5 << '\n';
        }
    }
    std::ifstream in("stream.txt");
    double sum = 0;
    for (std::string line; std::getline(in, line);) {
        std::istringstream fields(line);
        int number = 0;
        double half = 0;
        fields >> number >> half;
        sum += number + half;
    }
    std::cout << "sum of the file's numbers " << sum << '\n';
}

}  // namespace

int main() {
    exceptions();
    threads();
    containers();
    streams();
    auto length = reinterpret_cast<size_t (*)(const char*)>(dlsym(RTLD_DEFAULT, "strlen"));
    std::cout << "strlen through dlsym: " << length("twelve bytes") << '\n';
}
