# How every target of the project is compiled, in one place.
#   trawl_library(NAME SOURCES … [DEPENDS …])   a static library, linked publicly to DEPENDS
#   trawl_test(NAME SOURCES … [DEPENDS …] LABELS …)   a GoogleTest binary, listed case by case
include(GoogleTest)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

add_library(trawl_flags INTERFACE)
target_include_directories(trawl_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(trawl_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Werror -fno-omit-frame-pointer)
target_compile_definitions(trawl_flags INTERFACE
  _GLIBCXX_ASSERTIONS TRAWL_VERSION="${PROJECT_VERSION}")
target_link_libraries(trawl_flags INTERFACE Threads::Threads fmt)

# g++ 13 sees overflows in the inlined insides of fmt 9 and the standard library that cannot happen.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
  target_compile_options(trawl_flags INTERFACE -Wno-array-bounds -Wno-stringop-overflow)
endif()

if(TRAWL_SANITIZE STREQUAL "address")
  set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all)
  # g++ 13 looks for uses after return, in frames that are aligned for 32 bytes whatever lies in
  # them (its bug 110027); a register of AVX-512 needs 64.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND sanitizers --param=asan-use-after-return=0)
  endif()
elseif(TRAWL_SANITIZE STREQUAL "thread")
  set(sanitizers -fsanitize=thread)
elseif(NOT TRAWL_SANITIZE STREQUAL "")
  message(FATAL_ERROR
    "TRAWL_SANITIZE is `${TRAWL_SANITIZE}`; it may be empty, `address` or `thread`")
else()
  # The hardening that a process fed with strangers' bytes wants; sanitizer builds bring their own.
  set(sanitizers)
  target_compile_options(trawl_flags INTERFACE
    -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection)
  target_link_options(trawl_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
target_compile_options(trawl_flags INTERFACE ${sanitizers})
target_link_options(trawl_flags INTERFACE ${sanitizers})

function(trawl_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC trawl_flags ${arg_DEPENDS})
endfunction()

function(trawl_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;DEPENDS;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE trawl_flags ${arg_DEPENDS} gtest gmock gtest_main)
  target_compile_definitions(${name} PRIVATE TRAWL_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST
    PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT})
endfunction()
