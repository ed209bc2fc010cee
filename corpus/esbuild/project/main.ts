import { greet, type Person } from "./greet";
import people from "./people.json";
import { List } from "./list";

const all: Person[] = people;
console.log(all.map((person) => greet(person)).join("\n"));
console.log(List({ items: all.map((person) => person.name) }));
