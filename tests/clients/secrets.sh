# Sourced by tests/run: looks through everything that a run has left behind for every secret that it used.

# no_secret_in FOLDER   FOLDER/secrets.txt has one secret a line; 0 hits in all other files is success.
no_secret_in() {
    local folder=$1 list=$1/secrets.txt files hits
    if [ ! -s "$list" ]; then
        echo "no secret was noted in $list: nothing was searched for"
        return 1
    fi
    # An empty line would match everything, a short one by chance.
    if grep -qvE '^.{16,}$' "$list"; then
        echo "a noted secret is shorter than 16 characters"
        return 1
    fi
    files=$(find "$folder" -type f ! -name secrets.txt | wc -l)
    hits=$(LC_ALL=C grep -rlaFf "$list" --exclude=secrets.txt "$folder")
    case $? in
        0) echo "secrets stand in:"; echo "$hits"; return 1 ;;
        1) echo "$(sort -u "$list" | wc -l) secrets, $files files searched, 0 hits" ;;
        *) echo "the search itself failed"; return 1 ;;
    esac
    [ "$files" -gt 0 ]
}

# The search must find a secret in a text file, in a binary one, and must not pass on an empty list.
secrets_self_test() {
    local folder secret=planted-0123456789abcdef good=1
    folder=$(mktemp -d) || return 1
    mkdir -p "$folder/servers"
    echo "harmless" > "$folder/servers/a.log"
    : > "$folder/secrets.txt"
    if no_secret_in "$folder" > /dev/null; then good=0; fi
    echo "$secret" > "$folder/secrets.txt"
    if ! no_secret_in "$folder" > /dev/null; then good=0; fi
    echo "user=alice token=$secret." >> "$folder/servers/a.log"
    if no_secret_in "$folder" > /dev/null; then good=0; fi
    echo "harmless" > "$folder/servers/a.log"
    printf 'SQLite\0%s\0' "$secret" > "$folder/store.db"
    if no_secret_in "$folder" > /dev/null; then good=0; fi
    rm -rf "$folder"
    [ $good -eq 1 ]
}
