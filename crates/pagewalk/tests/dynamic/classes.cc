// The C++ library: streams, containers, exceptions through frames, thread-local and static objects.
#include <iostream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

struct Told {
    const char *name;
    explicit Told(const char *name) : name(name) { std::cout << "made " << name << '\n'; }
    ~Told() { std::cout << "unmade " << name << '\n'; }
};

static Told everywhere("everywhere");
static thread_local std::vector<int> counts(3, 7);

static int deep(int n) {
    Told local(n % 2 ? "odd" : "even");
    if (n == 0) throw std::runtime_error("deep enough");
    return deep(n - 1) + counts[n % 3];
}

int main(int argc, char **argv) {
    std::map<std::string, int> words;
    for (int i = 1; i < argc; i++) words[argv[i]]++;
    for (const auto &[word, count] : words) std::cout << word << ' ' << count << '\n';
    try {
        deep(4);
    } catch (const std::exception &error) {
        std::cout << error.what() << std::endl;
    }
    auto shared = std::make_shared<std::string>(1000, 'x');
    std::cout << shared->size() << ' ' << counts[2] << std::endl;
    return 3;
}
