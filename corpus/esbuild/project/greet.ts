export interface Person {
    name: string;
    born?: number;
}

export function greet({ name, born }: Person): string {
    return `hello, ${name}, born ${born ?? "some time ago"}`;
}

export function unused(): number {
    return 1;
}
