/** @jsx element */
const element = (name, attributes, ...children) => `<${name}>${children.flat().join("")}</${name}>`;

export const List = ({ items }) => (
    <ul>
        {items.map((item) => (
            <li>{item}</li>
        ))}
    </ul>
);
